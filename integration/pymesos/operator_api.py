#!/usr/bin/env python3
"""Every call of PyMesos' operator driver to a master, once: operator_api.py HOST:PORT

Who starts it has two agents with disk in the cluster, and a task of an executor "waiting" that runs on the first; while
it listens, one framework comes, runs a task and goes. What it leaves at the master: a weight and a quota of the role "left",
of the first agent's disk 96 MB that are reserved for that role, with the volume "left" of 64 MB on them, and a maintenance
schedule. The second agent is gone. It prints a line for each call.
"""

import sys
import threading
import time

from pymesos import MesosOperatorMasterDriver, OperatorMaster, decode_data

PATIENCE = 60
SECOND = 1_000_000_000
# No agent's.
MACHINE = {"hostname": "elsewhere", "ip": "10.0.0.9"}


class Listener(OperatorMaster):
    """Remembers the events, by the names of the driver's callbacks."""

    def __init__(self):
        self.events = []
        self.changed = threading.Condition()

    def note(self, name, what):
        with self.changed:
            self.events.append((name, what))
            self.changed.notify_all()

    def wait(self, name, fits=lambda what: True):
        with self.changed:
            found = []

            def is_there():
                found[:] = [what for event, what in self.events if event == name and fits(what)]
                return found

            if not self.changed.wait_for(is_there, PATIENCE):
                sys.exit("no %s among %s" % (name, self.events))
        print(name, flush=True)
        return found[0]

    def taskAdded(self, task):
        self.note("taskAdded", task)

    def taskUpdated(self, update):
        self.note("taskUpdated", update)

    def frameworkAdded(self, framework):
        self.note("frameworkAdded", framework)

    def frameworkUpdated(self, framework):
        self.note("frameworkUpdated", framework)

    def frameworkRemoved(self, framework):
        self.note("frameworkRemoved", framework)

    def agentAdded(self, agent):
        self.note("agentAdded", agent)

    def agentRemoved(self, agent_id):
        self.note("agentRemoved", agent_id)


class Asker:
    """Calls the driver, and checks what comes back: PyMesos hands on the answer's JSON, and of a change nothing."""

    def __init__(self, driver):
        self.driver = driver
        # The driver's methods in camel case are the calls; all else of it is for itself.
        self.left = {name for name in dir(driver) if name[0] != "_" and name.lower() != name}

    def call(self, call, *arguments):
        self.left.discard(call)
        return getattr(self.driver, call)(*arguments)

    def read(self, call, *arguments):
        """What stands in the answer below the call's own name: `getHealth` -> GET_HEALTH -> `get_health`."""
        answer = self.call(call, *arguments)
        name = "".join("_" + letter.lower() if letter.isupper() else letter for letter in call)
        check(call, answer.get("type") == name.upper(), answer)
        print(call, flush=True)
        return answer[name]

    def change(self, call, *arguments):
        answer = self.call(call, *arguments)
        check(call, not answer, answer)
        print(call, flush=True)

    def refused(self, code, call, *arguments):
        try:
            answer = self.call(call, *arguments)
        except RuntimeError as error:
            check(call, ("code=%d" % code) in str(error), error)
        else:
            check(call, False, answer)
        print("%s: %d" % (call, code), flush=True)


def check(call, holds, seen):
    if not holds:
        sys.exit("%s: %s" % (call, seen))


def main(master):
    listener = Listener()
    driver = MesosOperatorMasterDriver(master, listener)
    driver.start()
    listen(listener)
    asker = Asker(driver)
    look_at_the_daemon(asker, master)
    first, second = look_at_the_cluster(asker)
    roles(asker)
    disk(asker, first)
    maintenance(asker)
    asker.change("markAgentGone", second)
    removed = listener.wait("agentRemoved")
    check("agentRemoved", removed == second, removed)
    check("a call that was not made", not asker.left, asker.left)
    driver.stop()
    driver.join()


def listen(listener):
    """While this waits, the framework comes and goes."""
    framework = listener.wait("frameworkAdded")["framework_info"]
    task = listener.wait("taskAdded")
    check("taskAdded", task["framework_id"] == framework["id"], task)
    update = listener.wait("taskUpdated", lambda update: update["state"] == "TASK_FINISHED")
    check("taskUpdated", update["status"]["task_id"] == task["task_id"], update)
    removed = listener.wait("frameworkRemoved")
    check("frameworkRemoved", removed["id"] == framework["id"], removed)
    agent = listener.wait("agentAdded")["agent_info"]
    check("agentAdded", agent["hostname"] == "localhost", agent)


def look_at_the_daemon(asker, master):
    check("getHealth", asker.read("getHealth")["healthy"] is True, "not healthy")
    flags = asker.read("getFlags")["flags"]
    check("getFlags", {"name": "port", "value": master.split(":")[1]} in flags, flags)
    version = asker.read("getVersion")["version_info"]
    check("getVersion", version["version"], version)
    metrics = asker.read("getMetrics", 5 * SECOND)["metrics"]
    check("getMetrics", {"name": "master/elected", "value": 1.0} in metrics, metrics)
    info = asker.read("getMaster")["master_info"]
    check("getMaster", str(info["port"]) == master.split(":")[1], info)
    level = asker.read("getLoggingLevel")["level"]
    asker.change("setLoggingLevel", level + 1, 60 * SECOND)
    check("setLoggingLevel", asker.read("getLoggingLevel")["level"] == level + 1, level)
    # A file holds no files.
    check("listFiles", not asker.read("listFiles", "/master/log").get("file_infos"), "a file in a file")
    asker.refused(404, "listFiles", "/nowhere")
    piece = asker.read("readFile", "/master/log", 20, 0)
    check("readFile", piece["size"] > 20 and len(decode_data(piece["data"])) == 20, piece)


def look_at_the_cluster(asker):
    """The ids of both agents, the one with the task first."""
    executor = asker.read("getExecutors")["executors"][0]
    check("getExecutors", executor["executor_info"]["executor_id"]["value"] == "waiting", executor)
    tasks = asker.read("getTasks")
    check("getTasks", [task["state"] for task in tasks["tasks"]] == ["TASK_RUNNING"], tasks)
    check("getTasks", [task["state"] for task in tasks["completed_tasks"]] == ["TASK_FINISHED"], tasks)
    frameworks = asker.read("getFrameworks")
    check("getFrameworks", len(frameworks["frameworks"]) == len(frameworks["completed_frameworks"]) == 1, frameworks)
    agents = asker.read("getAgents")["agents"]
    check("getAgents", len(agents) == 2 and all(agent["active"] for agent in agents), agents)
    state = asker.read("getState")
    check("getState", len(state["get_agents"]["agents"]) == 2 and state["get_tasks"] == tasks, state)
    ids = [agent["agent_info"]["id"]["value"] for agent in agents]
    first = executor["agent_id"]["value"]
    return sorted(ids, key=lambda agent: agent != first)


def roles(asker):
    asker.change("updateWeights", [{"role": "left", "weight": 2.5}])
    weights = asker.read("getWeights")["weight_infos"]
    check("getWeights", weights == [{"role": "left", "weight": 2.5}], weights)

    guarantee = [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.0}}]
    for role in ["left", "given-back"]:
        asker.change("setQuota", {"role": role, "guarantee": guarantee, "force": True})
    asker.change("removeQuota", "given-back")
    infos = asker.read("getQuota")["status"]["infos"]
    check("getQuota", [info["role"] for info in infos] == ["left"], infos)
    check("getQuota", infos[0]["guarantee"][0]["scalar"]["value"] == 1.0, infos)

    known = asker.read("getRoles")["roles"]
    check("getRoles", [role["weight"] for role in known if role["name"] == "left"] == [2.5], known)


def reserved(megabytes, volume=None):
    resource = {
        "name": "disk", "type": "SCALAR", "scalar": {"value": megabytes},
        "reservations": [{"type": "DYNAMIC", "role": "left"}],
    }
    if volume:
        mounted = {"container_path": "data", "mode": "RW"}
        resource["disk"] = {"persistence": {"id": volume}, "volume": mounted}
    return [resource]


def disk(asker, agent):
    asker.change("reserveResources", agent, reserved(128.0))
    asker.change("createVolumes", agent, reserved(64.0, "left") + reserved(32.0, "destroyed"))
    asker.change("destroyVolumes", agent, reserved(32.0, "destroyed"))
    asker.change("unreserveResources", agent, reserved(32.0))


def maintenance(asker):
    window = {
        "machine_ids": [MACHINE],
        "unavailability": {
            "start": {"nanoseconds": int(time.time()) * SECOND},
            "duration": {"nanoseconds": 3600 * SECOND},
        },
    }
    asker.change("updateMaintenanceSchedule", [window])
    schedule = asker.read("getMaintenanceSchedule")["schedule"]
    check("getMaintenanceSchedule", schedule == {"windows": [window]}, schedule)
    status = asker.read("getMaintenanceStatus")["status"]
    check("getMaintenanceStatus", [it["id"] for it in status["draining_machines"]] == [MACHINE], status)
    asker.change("startMaintenance", [MACHINE])
    status = asker.read("getMaintenanceStatus")["status"]
    check("startMaintenance", status.get("down_machines") == [MACHINE], status)
    asker.change("stopMaintenance", [MACHINE])
    # Who is up again is no longer in the schedule, which is planned anew.
    schedule = asker.read("getMaintenanceSchedule")["schedule"]
    check("stopMaintenance", not schedule.get("windows"), schedule)
    asker.change("updateMaintenanceSchedule", [window])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
