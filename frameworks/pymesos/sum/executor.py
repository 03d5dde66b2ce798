#!/usr/bin/env python3
"""The executor of sum: adds the terms of a range, one by one. An agent starts it."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import worker  # noqa: E402


def add(terms):
    total = 0
    for term in range(terms["from"], terms["to"]):
        total += term
    return {"sum": total}


if __name__ == "__main__":
    worker.run(add)
