#!/usr/bin/env python3
"""An executor on PyMesos that runs until it is shut down. A task of it is over when the file that its data names is there."""

import os
import threading
import time

from pymesos import Executor, MesosExecutorDriver, decode_data


class Waiting(Executor):
    def launchTask(self, driver, task):
        threading.Thread(target=self.run, args=(driver, task), daemon=True).start()

    def run(self, driver, task):
        self.update(driver, task, "TASK_RUNNING")
        path = decode_data(task["data"]).decode()
        while not os.path.exists(path):
            time.sleep(0.05)
        self.update(driver, task, "TASK_FINISHED")

    def update(self, driver, task, state):
        status = {"task_id": task["task_id"], "state": state, "message": str(os.getpid())}
        while True:
            try:
                return driver.sendStatusUpdate(status)
            except Exception:
                # The agent is away.
                time.sleep(0.1)


if __name__ == "__main__":
    MesosExecutorDriver(Waiting()).run()
