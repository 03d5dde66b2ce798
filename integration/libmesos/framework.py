# A framework on upstream's own driver (libmesos, by its Python 2 binding `mesos.scheduler`) that does what it is told: it
# prints a line of JSON for each callback, and reads a line of JSON for each call. `integration/src/libmesos.rs` drives it.
#
#   framework.py MASTER '{"user": "", "name": "x", ...}' implicit|explicit
#
# A callback is {"event": its name, ...}; messages in it are protobuf's JSON. A call is {"call": the driver's method, ...}.
# The last line is {"event": "ended", "status": ...}: what the driver's `join` returned.
import base64
import json
import sys
import threading

from google.protobuf import json_format
from mesos.interface import Scheduler, mesos_pb2
from mesos.scheduler import MesosSchedulerDriver

lock = threading.Lock()


def say(event, **more):
    more["event"] = event
    with lock:
        print(json.dumps(more))
        sys.stdout.flush()


def to_json(message):
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def parse(value, message):
    return json_format.ParseDict(value, message)


class Echo(Scheduler):
    def registered(self, driver, framework, master):
        say("registered", framework=framework.value, master=to_json(master))

    def reregistered(self, driver, master):
        say("reregistered", master=to_json(master))

    def disconnected(self, driver):
        say("disconnected")

    def resourceOffers(self, driver, offers):
        say("resourceOffers", offers=[to_json(offer) for offer in offers])

    def offerRescinded(self, driver, offer):
        say("offerRescinded", offer=offer.value)

    def statusUpdate(self, driver, status):
        say("statusUpdate", status=to_json(status))

    def frameworkMessage(self, driver, executor, agent, data):
        say("frameworkMessage", executor=executor.value, agent=agent.value, data=base64.b64encode(data))

    def slaveLost(self, driver, agent):
        say("slaveLost", agent=agent.value)

    def executorLost(self, driver, executor, agent, status):
        say("executorLost", executor=executor.value, agent=agent.value, status=status)

    def error(self, driver, message):
        say("error", message=message)


def obey(driver, call):
    name = call["call"]
    offers = [parse({"value": offer}, mesos_pb2.OfferID()) for offer in call.get("offers", [])]
    filters = parse(call.get("filters", {}), mesos_pb2.Filters())
    # Without them a call is about all roles.
    roles = [[str(role) for role in call["roles"]]] if "roles" in call else []
    if name == "launchTasks":
        tasks = [parse(task, mesos_pb2.TaskInfo()) for task in call["tasks"]]
        driver.launchTasks(offers, tasks, filters)
    elif name == "acceptOffers":
        operations = [parse(operation, mesos_pb2.Offer.Operation()) for operation in call["operations"]]
        driver.acceptOffers(offers, operations, filters)
    elif name == "declineOffer":
        driver.declineOffer(offers[0], filters)
    elif name == "killTask":
        driver.killTask(parse({"value": call["task"]}, mesos_pb2.TaskID()))
    elif name == "reconcileTasks":
        driver.reconcileTasks([parse(status, mesos_pb2.TaskStatus()) for status in call["statuses"]])
    elif name == "acknowledgeStatusUpdate":
        driver.acknowledgeStatusUpdate(parse(call["status"], mesos_pb2.TaskStatus()))
    elif name == "sendFrameworkMessage":
        executor = parse({"value": call["executor"]}, mesos_pb2.ExecutorID())
        agent = parse({"value": call["agent"]}, mesos_pb2.SlaveID())
        driver.sendFrameworkMessage(executor, agent, base64.b64decode(call["data"]))
    elif name == "requestResources":
        driver.requestResources([parse(request, mesos_pb2.Request()) for request in call["requests"]])
    elif name == "reviveOffers":
        driver.reviveOffers(*roles)
    elif name == "suppressOffers":
        driver.suppressOffers(*roles)
    elif name == "stop":
        driver.stop(call.get("failover", False))
    elif name == "abort":
        driver.abort()
    else:
        raise ValueError("no such call: " + name)


def main():
    master, info, acknowledgements = sys.argv[1:]
    framework = parse(json.loads(info), mesos_pb2.FrameworkInfo())
    driver = MesosSchedulerDriver(Echo(), framework, master, acknowledgements == "implicit")

    def listen():
        for line in iter(sys.stdin.readline, ""):
            obey(driver, json.loads(line))

    driver.start()
    listener = threading.Thread(target=listen)
    listener.daemon = True
    listener.start()
    say("ended", status=mesos_pb2.Status.Name(driver.join()))


main()
