"""Cohorts against one scan of the columns they need: one daily partition, and a backfill of 30 days.

Measured are the five cohorts of carts and orders at 20 M events, and the whole catalogue at 2 M.

Every case runs in a process of its own, scans between the cases, and ratios are of medians of one run, in wall clock
and in CPU seconds (the ones to trust where others share the cores). History lies in the string layout of
``customer_events``; data is kept under ``benchmarks/.data`` and made once per size.

    python benchmarks/cohorts.py
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import _store_traffic
import polars as pl
import signals as _signals_bench

from pipelines.calendar import days_between
from pipelines.cohorts.catalogue import cohorts
from pipelines.cohorts.history.publish import run as run_cohorts
from pipelines.cohorts.history.versions import TABLES as OUTPUTS
from pipelines.cohorts.run import results
from pipelines.config import Tenant, TenantConfig
from pipelines.facts.events import CART_COLUMNS
from pipelines.facts.steps import event_facts
from pipelines.signals.run import run as run_signals
from pipelines.step import Writers, publish

DATA = Path(__file__).parent / ".data"
DAYS = days_between(date(2026, 6, 1), date(2026, 6, 30))
LAST = DAYS[-1]
#: What is read of an event for the cart cohorts. Ids are part of it: steps of one instant are ordered by them.
SCANNED = [*CART_COLUMNS, "agent_class"]
#: The same without ids and lines, for whoever would leave them out of the floor.
LEAN = [name for name in SCANNED if name not in ("external_id", "products", "outlet_id")]
#: Carts, and the two simplest rules about orders.
FIVE = ("cart_abandoned_low_stock", "cart_abandoner", "high_value_cart_abandoner", "lapsed_shopper", "repeat_purchaser")
#: Ratio to one scan, and GiB, of the whole catalogue and of the five.
GOALS = {"day": 3.0, "backfill": 8.0, "five_day": 3.0, "five_backfill": 10.0}
PEAK = {"day": 1.5, "backfill": 1.5, "five_day": 2.5, "five_backfill": 2.5}


def tenant_of(events: int, visitors: int, five: bool) -> Tenant:
    """The benchmark's tenant; UTC, so that a day has 24 hours."""
    home = DATA / f"{'five' if five else 'store'}-{events}-{visitors}"
    return Tenant(TenantConfig(id="bench", timezone="UTC"), home, home / "tenant")


def scan(tenant: Tenant, columns: Sequence[str] = SCANNED) -> None:
    """Decode every needed column of all days once and keep nothing."""
    lazy = tenant.lake.scan("customer_events", DAYS)
    texts = [pl.col(name).str.len_bytes().cast(pl.Int64).sum() for name in columns if name != "occurred_at"]
    lazy.select(*texts, pl.col("occurred_at").min()).collect(engine="streaming")


def prepare(tenant: Tenant, events: int, visitors: int) -> None:
    """Facts and signals of all days, and cohorts with their state up to the day before the last, as daily runs do."""
    made = tenant.home / "signals"
    if not made.exists():
        _signals_bench.prepare(tenant, events, visitors)
        run_signals(tenant, DAYS)
        made.touch()
    forget_cohorts(tenant)
    run_cohorts(tenant, DAYS[:-1])


def prepare_five(tenant: Tenant, events: int, visitors: int) -> None:
    """Facts of all days, and the five cohorts up to the day before the last."""
    _store_traffic.write(tenant, DAYS, events, visitors)
    event_facts(tenant, DAYS)
    forget_cohorts(tenant)
    run_five(tenant, DAYS[:-1])


def run_five(tenant: Tenant, days: Sequence[date]) -> None:
    """Compute and publish the five cohorts."""
    every = cohorts(tenant)
    definitions = {name: every[name] for name in FIVE}

    def fill(writers: Writers) -> None:
        for day, rows in results(tenant, definitions, days):
            for table, frame in zip(
                OUTPUTS, (rows.membership, rows.transitions, rows.sizes, rows.suppressed), strict=True
            ):
                writers[table].put(day, frame)

    publish(tenant, OUTPUTS, fill)


def forget_cohorts(tenant: Tenant) -> None:
    """Remove cohort tables and state, so that they are computed and written again."""
    for table in OUTPUTS:
        shutil.rmtree(tenant.lake.root / table, ignore_errors=True)
    shutil.rmtree(tenant.state / "cohorts", ignore_errors=True)


def forget_last_day(tenant: Tenant) -> None:
    """Remove the last day's state; what is published of it is replaced."""
    for file in (tenant.state / "cohorts").glob(f"{LAST}-*"):
        file.unlink()


#: What is removed before a case, and the case.
CASES: dict[str, tuple[Callable[[Tenant], None], Callable[[Tenant], object]]] = {
    "scan": (lambda tenant: None, scan),
    "lean_scan": (lambda tenant: None, lambda tenant: scan(tenant, LEAN)),
    "day": (forget_last_day, lambda tenant: run_cohorts(tenant, [LAST])),
    "backfill": (forget_cohorts, lambda tenant: run_cohorts(tenant, DAYS)),
    "five_day": (forget_last_day, lambda tenant: run_five(tenant, [LAST])),
    "five_backfill": (forget_cohorts, lambda tenant: run_five(tenant, DAYS)),
}


def measured(tenant: Tenant, case: str) -> dict[str, float]:
    """Wall and CPU seconds of a case, and the highest memory of this process."""
    before, task = CASES[case]
    before(tenant)
    started, cpu = time.perf_counter(), time.process_time()
    task(tenant)
    wall, used = time.perf_counter() - started, time.process_time() - cpu
    return {"wall": wall, "cpu": used, "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2}


def child(options: argparse.Namespace, case: str) -> str:
    """Output of this program in a fresh process."""
    size = ["--events", str(options.events), "--visitors", str(options.visitors), *(["--five"] if options.five else [])]
    command = [sys.executable, __file__, *size, "--case", case]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def compare(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Medians by case; scans before each case."""
    # Backfills come last: they leave no state of the day before the last.
    names = ("five_day", "five_backfill") if options.five else ("day", "backfill")
    order = [*names[:1] * options.rounds, *names[1:] * options.rounds]
    found: dict[str, list[dict[str, float]]] = {case: [] for case in ("lean_scan", "scan", *names)}
    for case in order:
        for each in ("lean_scan", "scan", case):
            found[each].append(json.loads(child(options, each)))
    return {
        case: {unit: statistics.median(row[unit] for row in rows) for unit in rows[0]} for case, rows in found.items()
    }


def show(tenant: Tenant, found: dict[str, dict[str, float]]) -> bool:
    """Sizes, then each case with its ratios against the goals; whether all were reached."""
    print(tenant.lake.read("cohort_sizes", [LAST]).select("cohort_id", "size", "entered", "exited"))
    for table in ("customer_events", "cart_activity", "customer_orders", *OUTPUTS):
        rows = tenant.lake.rows(table)
        print(f"rows of {table:20s} {sum(rows.values()):>11,}, of the last day {rows[LAST]:>9,}")
    base, whole = found["scan"], True
    print(f"\n{'':16s} {'wall s':>8s} {'CPU s':>8s} {'GiB':>6s} {'wall x':>7s} {'CPU x':>7s}  goal")
    for case, row in found.items():
        wall, cpu = row["wall"] / base["wall"], row["cpu"] / base["cpu"]
        line = f"{case:16s} {row['wall']:8.2f} {row['cpu']:8.2f} {row['gib']:6.2f} {wall:7.2f} {cpu:7.2f}"
        if case in GOALS:
            reached = cpu <= GOALS[case] and row["gib"] < PEAK[case]
            whole = whole and reached
            line += f"  <= {GOALS[case]:.0f} and < {PEAK[case]} GiB: {'reached' if reached else 'missed'}"
        print(line)
    print(f"load average {os.getloadavg()}")
    return whole


def main() -> None:
    """Write data and prepare in processes of their own, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int)
    parser.add_argument("--visitors", type=int)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--five", action="store_true", help="only the five cohorts, else only the whole catalogue")
    parser.add_argument("--case", choices=[*CASES, "prepare"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.events is None:
        sized = (("--five", "20000000", "1000000"), ("", "2000000", "100000"))
        rounds = ["--rounds", str(options.rounds)]
        missed = 0
        for flag, events, visitors in sized:
            own = [*([flag] if flag else []), "--events", events, "--visitors", visitors, *rounds]
            missed += subprocess.run([sys.executable, __file__, *own], check=False).returncode
        sys.exit(1 if missed else 0)
    tenant = tenant_of(options.events, options.visitors, options.five)
    if options.case == "prepare":
        (prepare_five if options.five else prepare)(tenant, options.events, options.visitors)
    elif options.case:
        print(json.dumps(measured(tenant, options.case)))
    else:
        child(options, "prepare")
        sys.exit(0 if show(tenant, compare(options)) else 1)


if __name__ == "__main__":
    main()
