#!/usr/bin/env python3
"""0 + 1 + ... + (terms - 1), on a cluster: scheduler.py HOST:PORT [TERMS [TASKS [TIMEOUT]]]"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import bag  # noqa: E402


def main(master, terms=1_000_000, tasks=4, timeout=120):
    terms, tasks = int(terms), int(tasks)
    bounds = [terms * task // tasks for task in range(tasks + 1)]
    pieces = [{"from": first, "to": end} for first, end in zip(bounds, bounds[1:])]
    work = bag.Bag("pymesos-sum", pieces, os.path.join(HERE, "executor.py"))
    bag.run(work, master, float(timeout))
    print("sum: %d" % sum(answer["sum"] for answer in work.answers.values()))
    print("answers by message: %d of %d" % (work.messages, tasks))


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
