"""A framework under fire on unmodified PyMesos: what scheduler.rs is on our library, with the same orders and journal.

It finds the leader in ZooKeeper by itself. Of etcd PyMesos knows nothing: there the masters are asked who leads.
Where the driver gives up (PyMesos does when a call fails in a callback), the process ends and is started again.
"""

import base64
import http.client
import json
import logging
import os
import pwd
import sys
import threading
import time
import urllib.parse

from pymesos import MesosSchedulerDriver, Scheduler

RECONCILE = 3.0
LOOK = 0.2
REFUSE = {"refuse_seconds": 0.2}
FAILOVER_TIMEOUT = 3600.0
# The master sends a heartbeat every 15 s.
SILENCE = 20.0
ALIVE = {"TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLING", "TASK_UNREACHABLE"}
# As in task.rs, beside which `command` stands, too.
CPUS, MEM = 0.2, 32.0
EXECUTOR_CPUS, EXECUTOR_MEM = 0.1, 32.0
SECONDS = [0.5, 1.0, 2.0, 4.0, 8.0]
FAILS = 11


class Work(Scheduler):
    def __init__(self, orders):
        self.orders = orders
        self.lock = threading.RLock()
        self.alive = {}  # task id -> agent id
        self.launched = 0
        self.framework_id = None
        self.done = False
        self.heard = time.monotonic()
        self.resume()
        self.journal = open(orders["journal"], "ab", buffering=0)

    def resume(self):
        if not os.path.exists(self.orders["journal"]):
            return
        for line in open(self.orders["journal"]):
            record = json.loads(line)
            if record["what"] == "subscribed":
                self.framework_id = record["framework"]
            elif record["what"] == "launched":
                self.launched += 1
                self.alive[record["task"]] = record["agent"]
            elif record["what"] == "told" and record["state"] not in ALIVE:
                self.alive.pop(record["task"], None)
            elif record["what"] == "done":
                self.done = True

    def write(self, **record):
        record["at"] = time.time()
        self.journal.write((json.dumps(record) + "\n").encode())

    # What the driver calls.

    def registered(self, driver, framework_id, master_info):
        self.subscribed(driver, framework_id["value"])

    def reregistered(self, driver, master_info):
        self.subscribed(driver, driver.framework_id)

    def subscribed(self, driver, framework_id):
        self.heard = time.monotonic()
        with self.lock:
            self.write(what="subscribed", framework=framework_id)
        self.ask(driver)

    def resourceOffers(self, driver, offers):
        self.heard = time.monotonic()
        for offer in offers:
            tasks = self.fill(offer)
            if tasks:
                driver.launchTasks(offer["id"], tasks, REFUSE)
            else:
                driver.declineOffer(offer["id"], REFUSE)

    def statusUpdate(self, driver, update):
        self.heard = time.monotonic()
        uuid = update.get("uuid")
        with self.lock:
            if update["state"] not in ALIVE:
                self.alive.pop(update["task_id"]["value"], None)
            # The driver acknowledges it afterwards.
            self.write(
                what="told", task=update["task_id"]["value"], state=update["state"],
                uuid=base64.b64decode(uuid).hex() if uuid else None,
                reason=update.get("reason"), source=update.get("source"), message=update.get("message"),
            )

    def processHeartBeat(self, driver):
        self.heard = time.monotonic()

    def error(self, driver, message):
        logging.error("the master ended the framework: %s", message)
        os._exit(1)

    # What is ours.

    def fill(self, offer):
        free = {"cpus": 0.0, "mem": 0.0}
        for resource in offer["resources"]:
            if resource["name"] in free and not resource.get("reservations"):
                free[resource["name"]] += resource["scalar"]["value"]
        tasks = []
        with self.lock:
            while (
                len(self.alive) < self.orders["width"]
                and not os.path.exists(self.orders["finish"])
                and free["cpus"] >= CPUS + EXECUTOR_CPUS
                and free["mem"] >= MEM + EXECUTOR_MEM
            ):
                free["cpus"] -= CPUS + EXECUTOR_CPUS
                free["mem"] -= MEM + EXECUTOR_MEM
                tasks.append(self.next(offer))
        return tasks

    def next(self, offer):
        number = self.launched
        task = "%s-%d" % (self.orders["name"], number)
        self.launched += 1
        self.alive[task] = offer["agent_id"]["value"]
        self.write(what="launched", task=task, agent=offer["agent_id"]["value"])
        scalars = {"cpus": CPUS, "mem": MEM}
        return {
            "name": task,
            "task_id": {"value": task},
            "agent_id": offer["agent_id"],
            "resources": [
                {"name": name, "type": "SCALAR", "scalar": {"value": value}} for name, value in scalars.items()
            ],
            "command": {"shell": True, "value": command(os.path.join(self.orders["ran"], task), number)},
        }

    def ask(self, driver):
        with self.lock:
            alive = list(self.alive.items())
        if alive:
            driver.reconcileTasks([
                {"task_id": {"value": task}, "agent_id": {"value": agent}} for task, agent in alive
            ])

    def look(self):
        with self.lock:
            if not self.done and not self.alive and os.path.exists(self.orders["finish"]):
                self.done = True
                self.write(what="done")


def command(file, number):
    return (
        "echo started $(date +%%s.%%N) >> %s; sleep %s; echo ended $(date +%%s.%%N) >> %s; exit %d"
        % (file, SECONDS[number % len(SECONDS)], file, number % FAILS == FAILS - 1)
    )


def leader(masters):
    """Who leads, as the masters say: a standby sends its callers to the leader."""
    for master in masters:
        try:
            connection = http.client.HTTPConnection(master, timeout=1)
            connection.request("GET", "/redirect")
            answer = connection.getresponse()
            if answer.status == 307:
                found = urllib.parse.urlparse(answer.getheader("Location")).netloc
                if answer_leads(found):
                    return found
        except OSError:
            pass
    return None


def answer_leads(master):
    try:
        connection = http.client.HTTPConnection(master, timeout=1)
        connection.request("GET", "/state-summary")
        return connection.getresponse().status == 200
    except OSError:
        return False


def main(orders):
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    work = Work(orders)
    framework = {
        "user": pwd.getpwuid(os.geteuid()).pw_name,
        "name": orders["name"],
        "checkpoint": True,
        "failover_timeout": FAILOVER_TIMEOUT,
        "capabilities": [{"type": "PARTITION_AWARE"}] if orders["partition_aware"] else [],
    }
    if work.framework_id:
        framework["id"] = {"value": work.framework_id}
    by_itself = orders["master"].startswith("zk://")
    master = orders["master"] if by_itself else leader(orders["masters"])
    while master is None:
        time.sleep(LOOK)
        master = leader(orders["masters"])
    # It never tears its framework down, also when the driver gives up.
    driver = MesosSchedulerDriver(work, framework, master, failover=True)
    driver.start()
    asked = looked = time.monotonic()
    while not driver.aborted and time.monotonic() - work.heard < SILENCE:
        time.sleep(LOOK)
        work.look()
        now = time.monotonic()
        try:
            if now - asked > RECONCILE:
                asked = now
                work.ask(driver)
        except Exception as error:
            logging.warning("cannot ask: %s", error)
        if not by_itself and now - looked > 1.0:
            looked = now
            found = leader(orders["masters"])
            if found and found != driver.master:
                driver.change_master(found)
    os._exit(1)


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    finally:
        os._exit(1)
