"""An executor of independent tasks on unmodified PyMesos, shared by sum and integrate."""

import json
import logging
import threading

from pymesos import Executor, MesosExecutorDriver, decode_data, encode_data


class Worker(Executor):
    """Runs `work` on a thread for each task, with the JSON of TaskInfo.data. What `work` returns (a
    dictionary) is the answer; an exception is the error."""

    def __init__(self, work):
        self.work = work

    def launchTask(self, driver, task):
        threading.Thread(target=self.run, args=(driver, task), daemon=True).start()

    def run(self, driver, task):
        task_id = task["task_id"]
        answer = {"task": task_id["value"]}
        try:
            driver.sendStatusUpdate({"task_id": task_id, "state": "TASK_RUNNING"})
            answer.update(self.work(json.loads(decode_data(task["data"]))))
            state = "TASK_FINISHED"
        except Exception as error:
            answer["error"] = "%s: %s" % (type(error).__name__, error)
            state = "TASK_FAILED"
        data = encode_data(json.dumps(answer).encode())
        driver.sendFrameworkMessage(data)
        driver.sendStatusUpdate({"task_id": task_id, "state": state, "data": data})


def run(work):
    """Runs the executor until the agent ends it."""
    logging.basicConfig(level=logging.INFO)
    driver = MesosExecutorDriver(Worker(work))
    driver.run()
