"""A scheduler of independent tasks on unmodified PyMesos, shared by sum and integrate.

Each piece of work becomes a task that gets the piece as JSON in TaskInfo.data. Its executor answers
with a framework message, and repeats the answer in the data of the last status update: messages may
be lost, updates are sent again until they are acknowledged. A piece is done when its task has
finished and its answer is known. A task that ends otherwise is tried again, a few times.
"""

import getpass
import json
import os
import shlex
import sys
import threading

from pymesos import MesosSchedulerDriver, Scheduler, decode_data, encode_data

TASK = {"cpus": 1.0, "mem": 32.0}
EXECUTOR = {"cpus": 0.5, "mem": 32.0}
REFUSE_SECONDS = 5
ATTEMPTS = 3
ENDED_BADLY = {
    "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST",
    "TASK_DROPPED", "TASK_GONE", "TASK_GONE_BY_OPERATOR",
}


def scalars(resources):
    """The unreserved scalars of an offer, by name."""
    free = {}
    for resource in resources:
        if resource["type"] == "SCALAR" and not resource.get("reservations"):
            name = resource["name"]
            free[name] = free.get(name, 0.0) + resource["scalar"]["value"]
    return free


def resources(amounts):
    """The protocol's form of {"cpus": 1.0, ...}."""
    return [
        {"name": name, "type": "SCALAR", "scalar": {"value": value}}
        for name, value in amounts.items()
    ]


class Bag(Scheduler):
    """Runs all pieces; `answers` has their answers, by index, when `done` is set without a `failure`."""

    def __init__(self, name, pieces, executor):
        self.name = name
        self.pieces = pieces
        self.executor_command = "%s %s" % (shlex.quote(sys.executable), shlex.quote(executor))
        self.waiting = list(range(len(pieces)))
        self.attempts = [0] * len(pieces)
        self.running = {}  # task id -> index
        self.received = {}  # task id -> what its message said
        self.answers = {}
        self.messages = 0
        self.failure = None
        self.done = threading.Event()
        self.framework_id = None

    # What the driver calls.

    def registered(self, driver, framework_id, master_info):
        self.framework_id = framework_id
        print("%s: registered as %s" % (self.name, framework_id["value"]), flush=True)

    def reregistered(self, driver, master_info):
        if self.running:
            driver.reconcileTasks([{"task_id": {"value": task}} for task in self.running])

    def resourceOffers(self, driver, offers):
        filters = {"refuse_seconds": REFUSE_SECONDS}
        for offer in offers:
            tasks = self.fill(offer)
            if tasks:
                driver.launchTasks(offer["id"], tasks, filters)
            else:
                driver.declineOffer(offer["id"], filters)

    def frameworkMessage(self, driver, executor_id, agent_id, message):
        answer = json.loads(decode_data(message))
        if answer.get("task") in self.running:
            self.received[answer["task"]] = answer
            self.messages += 1

    def statusUpdate(self, driver, update):
        task, state = update["task_id"]["value"], update["state"]
        index = self.running.get(task)
        if index is None or state not in ENDED_BADLY | {"TASK_FINISHED"}:
            return
        del self.running[task]
        answer = self.received.pop(task, None)
        if answer is None and update.get("data"):
            answer = json.loads(decode_data(update["data"]))
        if answer is not None and "error" in answer:
            self.end(answer["error"])
        elif answer is not None and state == "TASK_FINISHED":
            self.answers[index] = answer
            print("%s: %d of %d done" % (self.name, len(self.answers), len(self.pieces)), flush=True)
            if len(self.answers) == len(self.pieces):
                self.end(None)
        elif self.attempts[index] >= ATTEMPTS:
            self.end("task %s ended in %s: %s" % (task, state, update.get("message", "no reason given")))
        else:
            self.waiting.append(index)
            driver.reviveOffers()

    def error(self, driver, message):
        self.end("the master ended the framework: %s" % message)

    # What is ours.

    def end(self, failure):
        self.failure = failure
        self.done.set()

    def fill(self, offer):
        """As many tasks as the offer has room for; the executor takes its part with the first."""
        free = scalars(offer["resources"])
        runs = any(known["value"] == self.name for known in offer.get("executor_ids", []))
        tasks = []
        while self.waiting:
            needed = dict(TASK)
            if not tasks and not runs:
                needed = {name: TASK[name] + EXECUTOR[name] for name in TASK}
            if any(free.get(name, 0.0) < amount for name, amount in needed.items()):
                break
            for name, amount in needed.items():
                free[name] -= amount
            tasks.append(self.task(offer, self.waiting.pop(0)))
        return tasks

    def task(self, offer, index):
        self.attempts[index] += 1
        task_id = "%s-%d-%d" % (self.name, index, self.attempts[index])
        self.running[task_id] = index
        return {
            "name": task_id,
            "task_id": {"value": task_id},
            "agent_id": offer["agent_id"],
            "resources": resources(TASK),
            "data": encode_data(json.dumps(self.pieces[index]).encode()),
            "executor": {
                "executor_id": {"value": self.name},
                "framework_id": self.framework_id,
                "name": self.name,
                "command": {"value": self.executor_command},
                "resources": resources(EXECUTOR),
            },
        }


def run(bag, master, timeout):
    """Runs a bag to its end; leaves the program with status 1 and one line if it has none."""
    framework = {"user": getpass.getuser(), "name": bag.name, "hostname": os.uname().nodename}
    driver = MesosSchedulerDriver(bag, framework, master)
    driver.start()
    if not bag.done.wait(timeout):
        bag.failure = "not done within %g seconds" % timeout
    driver.stop()
    driver.join()
    if bag.failure:
        sys.exit("%s: %s" % (bag.name, bag.failure))
