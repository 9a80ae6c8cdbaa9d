"""Runs Python that comes in on stdin, a JSON line each, in the environment that has pandas, Spark and dbt.

Each line holds ``source``; what it leaves in ``answer`` goes back as a JSON line, an error as ``error``. Names live on
from line to line, so that one Spark session serves them all.
"""

from __future__ import annotations

import json
import os
import sys
import traceback


def main() -> None:
    # Whatever a library prints goes to stderr; stdout is for answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    names: dict[str, object] = {}
    for line in sys.stdin:
        try:
            names["answer"] = None
            exec(json.loads(line)["source"], names)  # noqa: S102
            reply = {"answer": names["answer"]}
        except Exception as error:
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(reply, default=str) + "\n")
        answers.flush()


main()
