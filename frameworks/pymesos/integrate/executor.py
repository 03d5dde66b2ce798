#!/usr/bin/env python3
"""The executor of integrate: the area of some steps, by the trapezoid rule. An agent starts it."""

import math
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.dirname(HERE))

import worker  # noqa: E402
from expression import parse  # noqa: E402


def integrate(piece):
    function = parse(piece["expression"])
    first, last, of = piece["from"], piece["to"], piece["of"]

    def value(step):
        x = last if step == of else first + (last - first) * (step / of)
        try:
            found = function(x)
        except (ArithmeticError, ValueError) as error:
            raise ValueError("no finite value at x = %r (%s)" % (x, error)) from None
        if not math.isfinite(found):
            raise ValueError("no finite value at x = %r (it is %r)" % (x, found))
        return found

    inner = (value(step) for step in range(piece["first"] + 1, piece["end"]))
    ends = (value(piece["first"]) / 2, value(piece["end"]) / 2)
    return {"area": math.fsum([*inner, *ends]) * ((last - first) / of)}


if __name__ == "__main__":
    worker.run(integrate)
