# An executor of the HTTP API that says back to its scheduler what the scheduler says to it. Its tasks run until they are
# killed.
import base64
import http.client
import json
import os
import time
import uuid

env = os.environ
AGENT = env["MESOS_AGENT_ENDPOINT"]


def call(kind, **parts):
    body = {
        "type": kind,
        "framework_id": {"value": env["MESOS_FRAMEWORK_ID"]},
        "executor_id": {"value": env["MESOS_EXECUTOR_ID"]},
    }
    body.update(parts)
    connection = http.client.HTTPConnection(AGENT)
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    connection.request("POST", "/api/v1/executor", json.dumps(body), headers)
    return connection.getresponse()


def update(task, state):
    status = {
        "task_id": task,
        "state": state,
        "source": "SOURCE_EXECUTOR",
        "uuid": base64.b64encode(uuid.uuid4().bytes).decode(),
        "timestamp": time.time(),
    }
    call("UPDATE", update={"status": status}).read()


def events(stream):
    while True:
        length = stream.readline()
        if not length:
            return
        yield json.loads(stream.read(int(length)))


stream = call("SUBSCRIBE", subscribe={"unacknowledged_tasks": [], "unacknowledged_updates": []})
ended = None
for event in events(stream):
    kind = event["type"]
    if kind == "LAUNCH":
        update(event["launch"]["task"]["task_id"], "TASK_RUNNING")
    elif kind == "MESSAGE":
        call("MESSAGE", message={"data": event["message"]["data"]}).read()
    elif kind == "KILL":
        ended = event["kill"]["task_id"]
        update(ended, "TASK_KILLED")
    elif kind == "ACKNOWLEDGED" and event["acknowledged"]["task_id"] == ended or kind == "SHUTDOWN":
        break
