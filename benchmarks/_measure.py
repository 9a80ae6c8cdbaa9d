"""Cases measured in fresh processes, interleaved: wall clock, CPU seconds of the process and its children, peak memory.

What the cases are and how they must compare is in the files beside this one.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / ".data"
Figures = dict[str, float]


def cpu() -> float:
    """User and system seconds of this process and of its children that have ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def peak_mb() -> float:
    """Highest memory in MB of this process or of one of its children."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(who).ru_maxrss for who in whose) / 1024


def timed(task: Callable[[], Any]) -> Figures:
    """``wall`` and ``cpu`` seconds of a task, and the process's ``mb`` after it; what it returns, if a dict, too."""
    started, used = time.perf_counter(), cpu()
    result = task()
    figures = {"wall": time.perf_counter() - started, "cpu": cpu() - used, "mb": peak_mb()}
    return {**figures, **result} if isinstance(result, dict) else figures


def in_child(program: str, arguments: Sequence[str], python: str = sys.executable) -> Figures:
    """Figures that a program prints as JSON in the last line of its output.

    Raises:
        SystemExit: the program failed; its errors are shown.
    """
    command = [python, program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def interleaved(cases: Mapping[str, Callable[[], Figures]], rounds: int) -> dict[str, Figures]:
    """Medians by case; of memory the highest. Cases take turns, so that a busy minute spoils all of them alike."""
    found: dict[str, list[Figures]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            found[name].append(case())
    return {
        name: {unit: (max if unit == "mb" else statistics.median)(row[unit] for row in rows) for unit in rows[0]}
        for name, rows in found.items()
    }


def load() -> str:
    """What else the machine did, for the reader of a figure."""
    return f"load average {', '.join(f'{x:.1f}' for x in os.getloadavg())} on {os.cpu_count()} cores"
