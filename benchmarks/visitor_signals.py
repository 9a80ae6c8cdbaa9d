"""Signals of visitors and customers against one scan of the columns they need: a backfill of 30 days, and one day.

Every case runs in a process of its own, scans between the cases, and ratios are of medians of one run, in wall clock
and in CPU seconds (the ones to trust where others share the cores). Facts, and the signals of products that a cart's
strongest one is taken from, are made once per size and kept under ``benchmarks/.data``.

    python benchmarks/visitor_signals.py --events 20000000
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from functools import partial

import signals as product_signals
from _measure import DATA, Figures, in_child, interleaved, timed
from signals import DAYS, LAST, prepare, scan, show

from pipelines.config import Tenant, TenantConfig
from pipelines.signals.run import run as run_product_signals
from pipelines.visitor_signals.run import OUTPUTS, STEP, run

#: Ratio to one scan.
GOALS = {"backfill": 6.0, "one_day": 1.0}


def tenant_of(events: int, visitors: int) -> Tenant:
    """The benchmark's tenant; UTC, so that a day has 24 hours."""
    home = DATA / f"visitor-signals-{events}-{visitors}"
    return Tenant(TenantConfig(id="bench", timezone="UTC"), home, home / "tenant")


def prepared(tenant: Tenant, events: int, visitors: int) -> None:
    """Facts of all days, and the signals of products."""
    prepare(tenant, events, visitors)
    if len(tenant.lake.days("signal_snapshots")) < len(DAYS):
        run_product_signals(tenant, DAYS)
    if not tenant.lake.exists("customer_merges"):
        tenant.lake.replace("customer_merges", tenant.lake.read("customer_merges"))


def forget(tenant: Tenant) -> None:
    """Remove tables and state, so that they are computed and written again."""
    for table in OUTPUTS:
        shutil.rmtree(tenant.lake.root / table, ignore_errors=True)
    shutil.rmtree(tenant.state / STEP, ignore_errors=True)


def backfill(tenant: Tenant) -> dict[str, float]:
    """All signals of all days, written."""
    forget(tenant)
    run(tenant, DAYS)
    return {"rows": sum(tenant.lake.rows(OUTPUTS[0]).values())}


def day_before(tenant: Tenant) -> None:
    """Leave the state at the end of the day before the last, as a daily run does."""
    run(tenant, [DAYS[-2]])
    for file in (tenant.state / STEP).glob(f"{LAST}-*"):
        file.unlink()


def one_day(tenant: Tenant) -> dict[str, float]:
    """The last day again, with the state of the day before."""
    run(tenant, [LAST])
    return {"rows": tenant.lake.rows(OUTPUTS[0])[LAST]}


CASES: dict[str, Callable[[Tenant], dict[str, float] | None]] = {"scan": scan, "backfill": backfill, "one_day": one_day}


def main() -> None:
    """Prepare and measure in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--visitors", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--case", choices=[*CASES, "prepare", "day_before"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    tenant = tenant_of(options.events, options.visitors)
    more = {"prepare": lambda tenant: prepared(tenant, options.events, options.visitors), "day_before": day_before}
    if options.case:
        print(json.dumps(timed(lambda: {**CASES, **more}[options.case](tenant))))
        return
    size = ["--events", str(options.events), "--visitors", str(options.visitors)]
    in_child(__file__, [*size, "--case", "prepare"])

    def measured(case: str) -> Figures:
        if case == "one_day":
            in_child(__file__, [*size, "--case", "day_before"])
        return in_child(__file__, [*size, "--case", case])

    product_signals.GOALS = GOALS
    cases = {case: partial(measured, case) for case in CASES}
    sys.exit(0 if show(interleaved(cases, options.rounds)) else 1)


if __name__ == "__main__":
    main()
