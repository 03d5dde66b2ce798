#!/usr/bin/env python3
"""The integral of an expression in x, on a cluster:
scheduler.py HOST:PORT [EXPRESSION [FROM [TO [STEPS [TASKS [TIMEOUT]]]]]]

The expression is Python's, with the names of its module math; anything else is refused.
"""

import math
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import bag  # noqa: E402
from expression import parse  # noqa: E402


def main(master, expression="4*sqrt(1-x*x)", first=0, last=1, steps=20_000, tasks=2, timeout=120):
    first, last, steps, tasks = float(first), float(last), int(steps), int(tasks)
    try:
        parse(expression)
    except ValueError as error:
        sys.exit("pymesos-integrate: %s" % error)
    bounds = [steps * task // tasks for task in range(tasks + 1)]
    pieces = [
        {"expression": expression, "from": first, "to": last, "of": steps, "first": begin, "end": end}
        for begin, end in zip(bounds, bounds[1:])
    ]
    work = bag.Bag("pymesos-integrate", pieces, os.path.join(HERE, "executor.py"))
    bag.run(work, master, float(timeout))
    print("integral: %.12g" % math.fsum(work.answers[index]["area"] for index in range(tasks)))
    print("answers by message: %d of %d" % (work.messages, tasks))


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 8:
        sys.exit(__doc__)
    main(*sys.argv[1:])
