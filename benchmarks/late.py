"""Late data against the least that any program must do with it: append the rows, rewrite the days they fall on.

A month of a store has landed and was computed (``_late_store.py``); its folder is linked for every round, so that each
starts from the same tables. Then 20,000 events of 10 days come late. Floor: their typed rows are written as Parquet,
and each of the 10 partitions is read, joined with them, sorted and written; everything is flushed. Ours: ``murmur
ingest`` of the same rows, then ``murmur run`` of entities and facts; the other stages are shown beside it.

Cases run in fresh processes. Wall clock counts where ``--first`` gives them the cores before everybody else (as root),
else CPU seconds are to be looked at.

    python benchmarks/late.py --events 20000000 --visitors 1000000 --first
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
from _late_store import GROUPS, LATE, RECEIVED, late_file, tenant_at
from _measure import DATA, Figures, in_child, load, timed

from pipelines import flow
from pipelines.landing.ingest import ingest_file
from pipelines.storage.durable import fsync_file

LIMIT, LIMIT_MB = 5.0, 1536


def floor(home: Path) -> None:
    """Append the typed rows; read, extend, sort and write the partitions that they fall on."""
    lake = tenant_at(home).lake
    late = pl.read_parquet(late_file(home)).with_columns(pl.col("occurred_at").dt.date().alias("date"))
    _flushed(late, home / "appended.parquet")
    for day in LATE:
        before = lake.read("customer_events", [day])
        added = late.filter(pl.col("date") == day)
        both = pl.concat([before, added], how="diagonal").sort("date", "external_id")
        _flushed(both, home / f"{day}.parquet")


def _flushed(frame: pl.DataFrame, file: Path) -> None:
    frame.write_parquet(file, compression="snappy")
    fsync_file(file)


def ingest(home: Path) -> None:
    """``murmur ingest`` of the late rows."""
    ingest_file(tenant_at(home), "customer_events", late_file(home), received_at=RECEIVED)


def run(*groups: str) -> Callable[[Path], None]:
    """``murmur run --select`` of groups; which days each step computed goes to standard output."""

    def task(home: Path) -> None:
        for outcome in flow.run(tenant_at(home), select=groups):
            print(outcome.step.name, len(outcome.days))

    return task


CASES: dict[str, Callable[[Path], None]] = {
    "floor": floor,
    "ingest": ingest,
    "entities": run("entities"),
    "facts": run("facts"),
    "signals": run("signals"),
    "cohorts": run("cohorts"),
    "exports": run("exports"),
    "nothing left": run(*GROUPS),
}
COUNTED = ("ingest", "entities", "facts")


def measure(home: Path, cases: Sequence[str], rounds: int) -> dict[str, Figures]:
    """Figures of each case in turn, best of the rounds: every round starts from linked copies of the same files."""
    found: dict[str, Figures] = {}
    for _ in range(rounds):
        copy = home.with_name(f"{home.name}-copy")
        shutil.rmtree(copy, ignore_errors=True)
        subprocess.run(["cp", "-al", str(home), str(copy)], check=True)
        for case in cases:
            figures = in_child(__file__, ["--case", case, "--home", str(copy)])
            if case not in found or figures["cpu"] < found[case]["cpu"]:
                found[case] = figures
        shutil.rmtree(copy)
    return found


def report(found: dict[str, Figures]) -> bool:
    """Print the figures; whether the limits hold."""
    base = found["floor"]
    ours = {unit: sum(found[case][unit] for case in COUNTED) for unit in ("wall", "cpu")}
    ours["mb"] = max(found[case]["mb"] for case in COUNTED)
    print(f"\n{'':20s} {'wall s':>8s} {'CPU s':>8s} {'MB':>6s} {'wall x':>7s} {'CPU x':>7s}")
    for case, row in {**found, "ingest to facts": ours}.items():
        ratios = f"{row['wall'] / base['wall']:7.2f} {row['cpu'] / base['cpu']:7.2f}"
        print(f"{case:20s} {row['wall']:8.2f} {row['cpu']:8.2f} {row['mb']:6.0f} {ratios}")
    held = ours["cpu"] <= LIMIT * base["cpu"] and ours["mb"] <= LIMIT_MB
    print(
        f"ingest to facts: <= {LIMIT:.0f} x the floor and <= {LIMIT_MB} MB: {'reached' if held else 'missed'}; {load()}"
    )
    return held


def main() -> None:
    """Prepare, measure, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--visitors", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--groups", nargs="+", default=GROUPS, help="what is computed before and measured")
    parser.add_argument("--first", action="store_true", help="cases come before other processes; needs root")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(timed(lambda: CASES[options.case](options.home))))
        return
    home = DATA / f"late-{options.events}-{options.visitors}"
    # A child inherits what its parent needed of memory, so the parent computes nothing.
    prepare = Path(__file__).with_name("_late_store.py")
    sizes = [str(options.events), str(options.visitors)]
    subprocess.run([sys.executable, str(prepare), str(home), *sizes, *options.groups], check=True)
    if options.first:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    cases = ["floor", "ingest", *options.groups]
    raise SystemExit(not report(measure(home, cases, options.rounds)))


if __name__ == "__main__":
    main()
