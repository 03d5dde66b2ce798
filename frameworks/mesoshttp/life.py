#!/usr/bin/env python3
"""A framework's whole life on unmodified mesoshttp: life.py MASTER[,MASTER...] [TIMEOUT]

MASTER is http://host:port or zk://host:port/mesos. The framework launches commands of every kind of
end, has one killed and one executor shut down, goes, comes back with its id, finds what still runs by
reconciliation, launches one more, and is torn down.

mesoshttp reads lines, and an event has none of its own to end it: each is delivered when the next one
has come. So that nobody waits for heartbeats, a thread asks again and again for a task that nobody has.
"""

import getpass
import os
import sys
import threading

from mesoshttp.client import MesosClient

RESOURCES = {"cpus": 0.1, "mem": 32.0}
COMMANDS = {
    "finishes": "exit 0",
    "fails": "exit 3",
    "is-killed": "sleep 1000",
    "is-shut-down": "sleep 1000",
    "stays": "sleep 1000",
}
NOBODY = "nobody"
# Seconds between two questions for the task that nobody has.
NUDGE = 0.2
FAILOVER_TIMEOUT = 100


class Life:
    """What is known of the framework, in all lives of its scheduler."""

    def __init__(self, masters, timeout):
        self.masters, self.timeout = masters, timeout
        self.changed = threading.Condition()
        self.client = self.driver = self.framework_id = self.agent_id = self.failure = None
        self.states = {}  # task id -> its states in their order
        self.answers = {}  # task id -> what a reconciliation said
        self.left_over = dict(COMMANDS)
        self.use = self.accept
        threading.Thread(target=self.nudge, daemon=True).start()

    def connect(self):
        """A new scheduler, which takes over if the framework is known."""
        client = MesosClient(
            self.masters,
            frameworkId=self.framework_id,
            frameworkName="mesoshttp",
            frameworkUser=getpass.getuser(),
            frameworkHostname=os.uname().nodename,
        )
        client.set_failover_timeout(FAILOVER_TIMEOUT)
        client.add_capability("PARTITION_AWARE")
        client.on(MesosClient.SUBSCRIBED, self.subscribed)
        client.on(MesosClient.OFFERS, self.offers)
        client.on(MesosClient.UPDATE, self.update)
        client.on(MesosClient.ERROR, self.error)
        self.client, self.driver = client, None
        threading.Thread(target=client.register, daemon=True).start()
        self.wait("a subscription", lambda: self.driver)

    # What mesoshttp calls, on its own thread.

    def subscribed(self, driver):
        with self.changed:
            if self.framework_id not in (None, driver.frameworkId):
                self.failure = "came back as %s" % driver.frameworkId
            self.framework_id, self.driver = driver.frameworkId, driver
            self.changed.notify_all()
        print("subscribed as %s" % driver.frameworkId, flush=True)

    def offers(self, offers):
        for offer in offers:
            tasks = self.tasks(offer.get_offer())
            if tasks:
                self.use(offer, tasks)
            else:
                offer.decline({"filters": {"refuse_seconds": 1.0}})

    def update(self, update):
        status = update["status"]
        task, state = status["task_id"]["value"], status["state"]
        with self.changed:
            if status.get("reason") == "REASON_RECONCILIATION":
                self.answers[task] = state
            else:
                self.states.setdefault(task, []).append(state)
            self.changed.notify_all()

    def error(self, message):
        if message != "Framework failed over":
            with self.changed:
                self.failure = message
                self.changed.notify_all()

    # What is ours.

    def tasks(self, offer):
        """All that is left over, on the first offer."""
        tasks = [
            {
                "name": name,
                "task_id": {"value": name},
                "agent_id": offer["agent_id"],
                "resources": [
                    {"name": resource, "type": "SCALAR", "scalar": {"value": value}}
                    for resource, value in RESOURCES.items()
                ],
                "command": {"value": command},
            }
            for name, command in self.left_over.items()
        ]
        self.left_over = {}
        if tasks:
            self.agent_id = offer["agent_id"]["value"]
        return tasks

    def accept(self, offer, tasks):
        offer.accept(tasks, {"filters": {"refuse_seconds": 0.1}})

    def combine(self, offer, tasks):
        self.client.combine_offers([offer], tasks, {"filters": {"refuse_seconds": 0.1}})

    def nudge(self):
        pause = threading.Event()
        while not pause.wait(NUDGE):
            driver = self.driver
            if driver:
                driver.reconcile([{"task_id": {"value": NOBODY}}])

    def wait(self, what, is_there):
        with self.changed:
            in_time = self.changed.wait_for(lambda: self.failure or is_there(), self.timeout)
        if self.failure:
            sys.exit("the framework was ended: %s" % self.failure)
        if not in_time:
            sys.exit("%s: not within %g seconds; updates: %s" % (what, self.timeout, self.states))

    def wait_for_state(self, task, state):
        self.wait("%s of %s" % (state, task), lambda: state in self.states.get(task, []))


def main(masters, timeout=60):
    life = Life(masters.split(","), float(timeout))
    life.connect()
    life.wait_for_state("finishes", "TASK_FINISHED")
    life.wait_for_state("fails", "TASK_FAILED")
    for task in ["is-killed", "is-shut-down", "stays"]:
        life.wait_for_state(task, "TASK_RUNNING")
    life.driver.kill(life.agent_id, "is-killed")
    life.wait_for_state("is-killed", "TASK_KILLED")
    # A command's executor is called as its task is.
    life.driver.shutdown(life.agent_id, "is-shut-down")
    life.wait("the end of is-shut-down", lambda: len(life.states["is-shut-down"]) > 2)

    life.client.disconnect_framework()
    life.connect()
    life.driver.reconcile([{"task_id": {"value": "stays"}, "agent_id": {"value": life.agent_id}}])
    life.wait("an answer for stays", lambda: "stays" in life.answers)
    life.wait("an answer for a task that nobody has", lambda: NOBODY in life.answers)
    life.use, life.left_over = life.combine, {"late": "exit 0"}
    life.driver.revive()
    life.wait_for_state("late", "TASK_FINISHED")
    life.driver.tearDown()
    for task, states in sorted(life.states.items()):
        print("%s: %s" % (task, " ".join(states)))
    for task, state in sorted(life.answers.items()):
        print("reconciled %s: %s" % (task, state))


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
