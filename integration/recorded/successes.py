#!/usr/bin/env python3
"""Records `successes.jsonl`: asks a genuine Mesos for what the other recordings have only errors of.

usage: successes.py HOST:PORT > successes.jsonl

At that address a master and an agent of Mesos 1.11.0 answer, both in one process and both new, with the resources
cpus:4;mem:4096;disk:1000;ports:[31000-31100] and the host name localhost. The library of PyPI's `mesos.scheduler`
1.11.0 has both: a driver whose master is `local` starts them, if `process::initialize` was called before with the
delegate `master`. With MESOS_AUTHENTICATE_FRAMEWORKS=true that driver's own framework stays out. It was built for older
OpenSSL and curl, for which empty libraries do, and has none of upstream's programs: a `mesos-containerizer` for `launch`,
which runs the command, was written for it. Afterwards the agent is gone.

Written is what was sent and answered, but for the port: it stands there as 5051 where it is the agent's, and else as
5050, as in the other recordings.
"""

import base64
import contextlib
import http.client
import json
import socket
import sys
import threading
import time
import urllib.parse
import uuid

ADDRESS = sys.argv[1]
JSON = ["Content-Type: application/json", "Accept: application/json"]
HOUR = 3600 * 10**9

# What is written in the end: the line of a stream stands where it was opened, with all that came until it was closed.
lines = []
requests = 0


def renamed(text):
    """The text with the recordings' ports."""
    return text.replace(f"slave(1)@{ADDRESS}", "slave(1)@127.0.0.1:5051").replace(ADDRESS, "127.0.0.1:5050")


def send(node, method, path, headers, body):
    connection = http.client.HTTPConnection(ADDRESS)
    path = f"/slave(1){path}" if node == "agent" else path
    connection.putrequest(method, path, skip_accept_encoding=True)
    for header in headers:
        connection.putheader(*header.split(": ", 1))
    connection.putheader("User-Agent", "curl/8.0")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body.encode())
    return connection, connection.getresponse()


class Exchange:
    """A request, and the answer as far as it has come."""

    def __init__(self, name, method, path, headers, body, node):
        global requests
        requests += 1
        name = f"{requests:03}-{name}"
        self.request = {"node": node, "method": method, "path": path, "headers": headers, "body": body}
        self.connection, self.answer = send(*self.request.values())
        status = f"HTTP/1.1 {self.answer.status} {self.answer.reason}"
        told = [f"{name}: {value}" for name, value in self.answer.getheaders() if name != "Date"]
        self.pair = {"group": "successes", "name": name, **self.request, "status": status, "response_headers": told}


def ask(name, method, path, call=None, headers=JSON, node="master"):
    """A pair: JSON, or what a call is when it has been encoded."""
    body = call if isinstance(call, str) else json.dumps(call) if call is not None else ""
    exchange = Exchange(name, method, path, headers if body else [], body, node)
    response = exchange.answer.read().decode()
    lines.append(exchange.pair | {"response": renamed(response)})
    return response


def operator(kind, name=None, node="master", **fields):
    call = {"type": kind} | ({kind.lower(): fields} if fields else {})
    return ask(name or kind, "POST", "/api/v1", call, node=node)


def form(name, path, **fields):
    encoded = {key: value if isinstance(value, str) else json.dumps(value) for key, value in fields.items()}
    return ask(name, "POST", path, urllib.parse.urlencode(encoded, quote_via=urllib.parse.quote), headers=[])


def ours(why, **step):
    lines.append({"ours": why, **step})


def until(why, path, pointer, value, node="master"):
    """Asks until it is so; who repeats the recording does the same."""
    ours(why, node=node, until=path, pointer=pointer, **{"is": value})
    for _ in range(300):
        found = json.load(send(node, "GET", path, [], "")[1])
        for key in pointer.split("/")[1:]:
            if isinstance(found, list):
                found = dict(enumerate(found)).get(int(key))
            else:
                found = (found or {}).get(key)
        if found == value:
            return
        time.sleep(0.1)
    raise SystemExit(f"never: {why}")


class Stream:
    """A subscription: a pair, or, with a reason, a step that is not compared."""

    def __init__(self, name, path, call, node="master", why=None):
        self.exchange = Exchange(name, "POST", path, JSON, json.dumps(call), node)
        self.line = {"ours": why, **self.exchange.request} if why else self.exchange.pair
        self.id = self.exchange.answer.getheader("Mesos-Stream-Id") or self.exchange.pair["name"]
        if why:
            self.line["keep"] = self.id
        self.records, self.events = [], []
        lines.append(self.line)
        threading.Thread(target=self.follow, daemon=True).start()

    def follow(self):
        with contextlib.suppress(http.client.IncompleteRead, OSError):
            while length := self.length():
                record = renamed(self.exchange.answer.read(int(length)).decode())
                self.records.append(f"{len(record)}\n{record}")
                if "ours" not in self.line:
                    self.line["response"] = "".join(self.records)
                self.events.append(json.loads(record))

    def length(self):
        line = b""
        while not line.endswith(b"\n"):
            byte = self.exchange.answer.read(1)
            if not byte:
                return ""
            line += byte
        return line.decode()

    def next(self, kind):
        """The first event of a kind that was not asked for before."""
        for _ in range(600):
            for event in self.events:
                if event["type"] == kind:
                    self.events.remove(event)
                    return event[kind.lower()]
            time.sleep(0.05)
        raise SystemExit(f"no {kind}")

    def close(self):
        self.exchange.connection.sock.shutdown(socket.SHUT_RDWR)


class Framework:
    def __init__(self, name, why=None, subscribe=None, **info):
        info = {"user": "root", "name": name, "roles": ["a"], "failover_timeout": 60} | info
        info["capabilities"] = [{"type": kind} for kind in ("MULTI_ROLE", "RESERVATION_REFINEMENT")]
        call = {"type": "SUBSCRIBE", "subscribe": {"framework_info": info} | (subscribe or {})}
        self.stream = Stream(f"SUBSCRIBE-{name}", "/api/v1/scheduler", call, why=why)
        self.id = self.stream.next("SUBSCRIBED")["framework_id"]["value"]
        if why:
            self.stream.line["framework"] = self.id

    def call(self, kind, name=None, **fields):
        call = {"type": kind, "framework_id": {"value": self.id}, kind.lower(): fields}
        headers = [*JSON, f"Mesos-Stream-Id: {self.stream.id}"]
        return ask(name or kind, "POST", "/api/v1/scheduler", call, headers)

    def answer_the_offer(self, kind, name=None, **fields):
        """Waits for the next offer, and wants no other soon, unless there is more."""
        offer = self.stream.next("OFFERS")["offers"][0]
        self.call(kind, name, offer_ids=[offer["id"]], filters={"refuse_seconds": 3600}, **fields)

    def accept(self, operation):
        self.answer_the_offer("ACCEPT", f"ACCEPT-{operation['type']}", operations=[operation])

    def close(self, why):
        self.stream.close()
        ours(why, close=self.stream.id)


def scalar(name, value, **more):
    return {"name": name, "type": "SCALAR", "scalar": {"value": value}, **more}


def reserved(name, value, **more):
    return scalar(name, value, reservations=[{"type": "DYNAMIC", "role": "a"}], **more)


def windows(*machines):
    start = {"nanoseconds": time.time_ns() + HOUR}
    unavailability = {"start": start, "duration": {"nanoseconds": HOUR}}
    window = {"machine_ids": list(machines), "unavailability": unavailability}
    return {"windows": [window] if machines else []}


def maintenance():
    one, two = {"hostname": "one"}, {"hostname": "two", "ip": "10.0.0.2"}
    operator("UPDATE_MAINTENANCE_SCHEDULE", schedule=windows(one, two))
    operator("START_MAINTENANCE", machines=[one])
    operator("GET_MAINTENANCE_STATUS", "one-down-GET_MAINTENANCE_STATUS")
    ask("one-down-GET-maintenance-status", "GET", "/maintenance/status")
    operator("START_MAINTENANCE", "START_MAINTENANCE-again", machines=[one])
    ask("POST-machine-down", "POST", "/machine/down", [two])
    operator("GET_MAINTENANCE_STATUS", "two-down-GET_MAINTENANCE_STATUS")
    ask("two-down-GET-maintenance-status", "GET", "/maintenance/status")
    ask("POST-machine-down-again", "POST", "/machine/down", [two])
    ask("POST-schedule-without-one-that-is-down", "POST", "/maintenance/schedule", windows(one))
    operator("STOP_MAINTENANCE", machines=[one])
    operator("GET_MAINTENANCE_STATUS", "one-up-GET_MAINTENANCE_STATUS")
    operator("GET_MAINTENANCE_SCHEDULE", "one-up-GET_MAINTENANCE_SCHEDULE")
    operator("STOP_MAINTENANCE", "STOP_MAINTENANCE-again", machines=[one])
    ask("POST-machine-up", "POST", "/machine/up", [two])
    ask("two-up-GET-maintenance-status", "GET", "/maintenance/status")
    ask("two-up-GET-maintenance-schedule", "GET", "/maintenance/schedule")
    ask("POST-machine-up-again", "POST", "/machine/up", [two])


def quota():
    guarantee = [scalar("cpus", 1), scalar("mem", 64)]
    operator("SET_QUOTA", quota_request={"role": "q1", "guarantee": guarantee})
    operator("GET_QUOTA")
    much = {"role": "q2", "guarantee": [scalar("cpus", 100)]}
    operator("SET_QUOTA", "SET_QUOTA-too-much", quota_request=much)
    operator("SET_QUOTA", "SET_QUOTA-force", quota_request=much | {"force": True})
    ask("forced-GET-quota", "GET", "/quota")
    operator("REMOVE_QUOTA", "REMOVE_QUOTA-q1", role="q1")
    operator("REMOVE_QUOTA", "REMOVE_QUOTA-q2", role="q2")


def volumes(agent):
    disk = {"persistence": {"id": "v1"}, "volume": {"mode": "RW", "container_path": "data"}}
    volume = [reserved("disk", 64, disk=disk)]
    form("POST-create-volumes-unreserved", "/create-volumes", slaveId=agent, volumes=volume)
    form("POST-reserve", "/reserve", slaveId=agent, resources=[reserved("disk", 128)])
    form("POST-create-volumes", "/create-volumes", slaveId=agent, volumes=volume)
    ask("volume-GET-slaves", "GET", "/slaves")
    operator("GET_AGENTS", "volume-GET_AGENTS")
    form("POST-create-volumes-again", "/create-volumes", slaveId=agent, volumes=volume)
    form("POST-destroy-volumes", "/destroy-volumes", slaveId=agent, volumes=volume)
    ask("destroyed-GET-slaves", "GET", "/slaves")
    form("POST-destroy-volumes-again", "/destroy-volumes", slaveId=agent, volumes=volume)
    form("POST-unreserve", "/unreserve", slaveId=agent, resources=[reserved("disk", 128)])


def constraints():
    path = "/allocator/offer_constraints_debug"
    ask("nobody-GET-offer_constraints_debug", "GET", path)
    selector = {"pseudoattribute_type": "HOSTNAME"}
    elsewhere = {"selector": selector, "predicate": {"text_equals": {"value": "elsewhere"}}}
    role = {"groups": [{"attribute_constraints": [elsewhere]}]}
    subscribe = {"suppressed_roles": ["b"], "offer_constraints": {"role_constraints": {"a": role}}}
    framework = Framework("constraints", subscribe=subscribe, roles=["a", "b"], failover_timeout=0)
    ask("GET-offer_constraints_debug", "GET", path)
    ask("constraints-GET-frameworks", "GET", "/frameworks")
    framework.close("the framework ended")
    until("it is gone", "/frameworks", "/frameworks/0", None)


def operations(agent):
    framework = Framework("operations")
    mine = [reserved("cpus", 1, allocation_info={"role": "a"})]
    framework.accept({"id": {"value": "op-1"}, "type": "RESERVE", "reserve": {"resources": mine}})
    ours("the agent has done it", **{"await": "op-1", "state": "OPERATION_FINISHED"})
    status = framework.stream.next("UPDATE_OPERATION_STATUS")["status"]
    operator("GET_OPERATIONS", "not-acknowledged-GET_OPERATIONS")
    which = {"agent_id": {"value": agent}, "operation_id": {"value": "op-1"}}
    framework.call("RECONCILE_OPERATIONS", operations=[which])
    which["uuid"] = status["uuid"]["value"]
    framework.call("ACKNOWLEDGE_OPERATION_STATUS", **which)
    operator("GET_OPERATIONS", "acknowledged-GET_OPERATIONS")
    framework.call("ACKNOWLEDGE_OPERATION_STATUS", "ACKNOWLEDGE_OPERATION_STATUS-again", **which)
    framework.answer_the_offer("DECLINE")
    ask("reserved-GET-frameworks", "GET", "/frameworks")
    framework.close("the scheduler went away; its framework stays for a minute")
    until("the master has seen it", "/frameworks", "/frameworks/0/connected", False)
    form("POST-unreserve-a-framework's", "/unreserve", slaveId=agent, resources=[reserved("cpus", 1)])
    form("POST-teardown", "/teardown", frameworkId=framework.id)
    ask("torn-down-GET-frameworks", "GET", "/frameworks")
    form("POST-teardown-again", "/teardown", frameworkId=framework.id)


def a_task_and_its_executor(agent):
    why = "SUBSCRIBE was answered as others; the stream ends with its framework"
    framework = Framework("executor", why)
    mine = [scalar(name, value, allocation_info={"role": "a"}) for name, value in (("cpus", 0.1), ("mem", 32))]
    ids = {"framework_id": {"value": framework.id}, "executor_id": {"value": "e"}}
    executor = {"type": "CUSTOM", **ids, "command": {"value": "sleep 1000"}, "resources": mine}
    task = {"name": "t", "task_id": {"value": "t"}, "agent_id": {"value": agent}}
    task |= {"executor": executor, "resources": mine}
    framework.accept({"type": "LAUNCH", "launch": {"task_infos": [task]}})
    until("the agent has started the executor", "/containers", "/0/executor_id", "e", node="agent")

    path = "/api/v1/executor"
    subscribe = {"type": "SUBSCRIBE", **ids, "subscribe": {}}
    Stream("SUBSCRIBE-executor", path, subscribe, node="agent", why="it subscribed").next("SUBSCRIBED")
    # Mesos aborts at an update that comes earlier.
    task = "/frameworks/0/executors/0/tasks/0/id"
    until("the task was sent to it", "/state", task, "t", node="agent")
    status = {"task_id": {"value": "t"}, "state": "TASK_RUNNING", "source": "SOURCE_EXECUTOR"}
    status |= {"uuid": base64.b64encode(uuid.uuid4().bytes).decode(), "executor_id": {"value": "e"}}
    ask("UPDATE", "POST", path, {"type": "UPDATE", **ids, "update": {"status": status}}, node="agent")
    ours("the scheduler hears of it", **{"await": "t", "state": "TASK_RUNNING"})
    framework.stream.next("UPDATE")
    again = Stream("SUBSCRIBE-executor-again", path, subscribe, node="agent")
    again.next("SUBSCRIBED")

    teardown = {"framework_id": {"value": framework.id}}
    operator("TEARDOWN", **teardown)
    # Of the executor's stream its beginning.
    again.line["response"] = again.records[0]
    operator("GET_FRAMEWORKS", "torn-down-GET_FRAMEWORKS")
    operator("GET_TASKS", "torn-down-GET_TASKS")
    framework.call("REVIVE", "torn-down-REVIVE")
    operator("TEARDOWN", "TEARDOWN-again", **teardown)
    until("the executor is gone", "/containers", "/0", None, node="agent")


def containers():
    outer = {"value": "outer"}
    one, two = ({"value": name, "parent": outer} for name in ("one", "two"))

    def agent(kind, name, container, **more):
        operator(kind, f"{kind}-{name}", node="agent", container_id=container, **more)

    # Of their exit statuses only those of killed ones are Mesos's: others are passed on by the program that is not there.
    stays = {"value": "sleep 1000"}
    agent("LAUNCH_CONTAINER", "outer", outer, command=stays)
    agent("LAUNCH_NESTED_CONTAINER", "one", one, command=stays)
    agent("KILL_NESTED_CONTAINER", "one", one)
    agent("WAIT_NESTED_CONTAINER", "one", one)
    agent("REMOVE_NESTED_CONTAINER", "one", one)
    agent("LAUNCH_CONTAINER", "two", two, command=stays)
    agent("KILL_CONTAINER", "two", two)
    agent("WAIT_CONTAINER", "two", two)
    agent("REMOVE_CONTAINER", "two", two)
    agent("KILL_CONTAINER", "outer", outer)
    agent("WAIT_CONTAINER", "outer", outer)


def the_agents_machine():
    machines = [{"hostname": "localhost", "ip": "127.0.0.1"}]
    ask("POST-schedule-the-agent", "POST", "/maintenance/schedule", windows(*machines))
    ask("POST-machine-down-the-agent", "POST", "/machine/down", machines)
    until("the agent is removed", "/slaves", "/slaves/0", None)
    ask("down-GET-slaves", "GET", "/slaves")
    ask("down-GET-maintenance-status", "GET", "/maintenance/status")
    operator("STOP_MAINTENANCE", "STOP_MAINTENANCE-the-agent", machines=machines)
    operator("GET_MAINTENANCE_STATUS", "up-GET_MAINTENANCE_STATUS")


def main():
    agent = json.loads(ask("GET-slaves", "GET", "/slaves"))["slaves"][0]["id"]
    maintenance()
    quota()
    volumes(agent)
    constraints()
    operations(agent)
    a_task_and_its_executor(agent)
    containers()
    the_agents_machine()
    for line in lines:
        print(json.dumps(line))


main()
