"""Product signals against one scan of the columns they need: a backfill of 30 days, one day, and six additive signals.

Every case runs in a process of its own, scans between the cases, and ratios are of medians of one run, in wall clock
and in CPU seconds (the ones to trust where others share the cores). Facts are made once per size and kept under
``benchmarks/.data``; what they cost is told as a case of its own.

    python benchmarks/signals.py --events 20000000
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial

import numpy as np
import polars as pl
from _measure import DATA, Figures, in_child, interleaved, load, timed
from _store_traffic import PRODUCTS, filled, micros, text, write

from pipelines.calendar import days_between
from pipelines.config import Tenant, TenantConfig
from pipelines.facts.steps import event_facts, product_facts
from pipelines.signals.catalogue import signals
from pipelines.signals.run import OUTPUTS, STEP, results
from pipelines.signals.run import run as run_signals

DAYS = days_between(date(2026, 6, 1), date(2026, 6, 30))
LAST = DAYS[-1]
#: What the facts of signals read of an event.
SCANNED = ["event_name", "occurred_at", "flockr_vid", "product_id", "agent_class", "cart_id", "session_id"]
#: Ratio to one scan.
GOALS = {"backfill": 6.0, "six_additive": 6.0}
SIX = {"views": ("24h", "7d"), "add_to_bags": ("24h", "7d"), "purchases": ("24h", "7d")}


def tenant_of(events: int, visitors: int) -> Tenant:
    """The benchmark's tenant; UTC, so that a day has 24 hours."""
    home = DATA / f"signals-{events}-{visitors}"
    return Tenant(TenantConfig(id="bench", timezone="UTC"), home, home / "tenant")


def prepare(tenant: Tenant, events: int, visitors: int) -> None:
    """Traffic, stock and sales of all days, and the facts that signals read."""
    marker = tenant.home / "facts"
    if marker.exists():
        return
    write(tenant, DAYS, events, visitors)
    for table in OUTPUTS:
        shutil.rmtree(tenant.lake.root / table, ignore_errors=True)
    with (
        tenant.lake.writer("order_lines") as lines,
        tenant.lake.writer("visitor_purchases") as bought,
        tenant.lake.writer("stock_levels") as stock,
    ):
        for day in DAYS:
            sold = with_products(tenant.lake.read("visitor_orders", [day]), day)
            lines.put(day, filled("order_lines", line_rows(sold)))
            bought.put(day, filled("visitor_purchases", purchase_rows(sold)))
            stock.put(day, filled("stock_levels", stock_rows(day)))
    tenant.lake.replace("products_history", prices(tenant))
    event_facts(tenant, DAYS)
    product_facts(tenant, DAYS)
    marker.touch()


def with_products(orders: pl.DataFrame, day: date) -> pl.DataFrame:
    """One product an order, the well-known ones more often."""
    chance = np.random.default_rng(day.toordinal() + 1)
    product = (PRODUCTS * chance.random(orders.height) ** 3).astype(np.int64)
    return orders.with_columns(text("p", product, 9).alias("product_id"))


def line_rows(sold: pl.DataFrame) -> pl.DataFrame:
    """Rows of ``order_lines``."""
    one = pl.lit(1000, dtype=pl.Int64)
    return sold.select(
        "order_id",
        pl.lit(1, dtype=pl.Int64).alias("line_no"),
        pl.lit("sale").alias("kind"),
        pl.col("ordered_at").alias("occurred_at"),
        "product_id",
        one.alias("quantity"),
        one.alias("net_minor"),
        pl.lit(0, dtype=pl.Int64).alias("discount_minor"),
        pl.lit("GBP").alias("currency"),
        pl.lit("web").alias("channel"),
    )


def purchase_rows(sold: pl.DataFrame) -> pl.DataFrame:
    """Rows of ``visitor_purchases``."""
    units, whole = pl.lit(1000, dtype=pl.Int64).alias("units"), pl.lit(value=False).alias("discounted")
    return sold.select("flockr_vid", "order_id", "product_id", "ordered_at", units, whole)


def stock_rows(day: date) -> pl.DataFrame:
    """Every product on the first day, then a fiftieth of them each day."""
    chance = np.random.default_rng(day.toordinal() + 2)
    many = PRODUCTS if day == DAYS[0] else PRODUCTS // 50
    product = np.sort(chance.choice(PRODUCTS, many, replace=False))
    at = micros(day) + chance.integers(0, 86_400_000_000, many)
    available = chance.choice([0, 2, 5, 8, 20, 60, 300], many) * 1000
    return pl.DataFrame(
        {
            "external_id": text(f"m{day}", product, 9),
            "product_id": text("p", product, 9),
            "outlet_id": pl.repeat("web", many, eager=True),
            "available": available,
            "measured_at": pl.Series(at).cast(pl.Datetime("us", "UTC")),
        }
    )


def prices(tenant: Tenant) -> pl.DataFrame:
    """Two hundred categories, and a hundredth of the products at a new price in the month."""
    history = tenant.lake.read("products_history")
    path = pl.format("shop > {}", pl.col("external_id").str.slice(-3).cast(pl.Int64) % 200)
    first = history.with_columns(path.alias("category_path"))
    cut = first.filter(pl.col("external_id").str.slice(-2) == "07")
    then = datetime(2026, 6, 10, tzinfo=UTC)
    numbered = pl.int_range(pl.len(), dtype=pl.Int64) * timedelta(minutes=20).seconds * 1_000_000
    at = (pl.lit(then).cast(pl.Datetime("us", "UTC")).to_physical() + numbered).cast(pl.Datetime("us", "UTC"))
    second = cut.with_columns(pl.col("price_minor") * 9 // 10, at.alias("effective_from"))
    ended = first.join(
        second.select("external_id", pl.col("effective_from").alias("_to")), on="external_id", how="left"
    )
    closed = ended.with_columns(pl.coalesce("_to", "effective_to").alias("effective_to")).drop("_to")
    return pl.concat([closed, second]).sort("external_id", "effective_from")


def scan(tenant: Tenant) -> None:
    """Decode every needed column of all days once and keep nothing."""
    lazy = tenant.lake.scan("customer_events", DAYS)
    texts = [pl.col(name).str.len_bytes().cast(pl.Int64).sum() for name in SCANNED if name != "occurred_at"]
    lazy.select(*texts, pl.col("occurred_at").min()).collect(engine="streaming")


def forget(tenant: Tenant) -> None:
    """Remove tables and state, so that they are computed and written again."""
    for table in OUTPUTS:
        shutil.rmtree(tenant.lake.root / table, ignore_errors=True)
    shutil.rmtree(tenant.state / STEP, ignore_errors=True)


def backfill(tenant: Tenant) -> dict[str, float]:
    """All signals of all days, written."""
    forget(tenant)
    run_signals(tenant, DAYS)
    return {"rows": sum(tenant.lake.rows("signal_snapshots").values())}


def day_before(tenant: Tenant) -> None:
    """Leave the state at the end of the day before the last, as a daily run does."""
    run_signals(tenant, [DAYS[-2]])
    for file in (tenant.state / STEP).glob(f"{LAST}-*"):
        file.unlink()


def one_day(tenant: Tenant) -> dict[str, float]:
    """The last day again, with the state of the day before."""
    run_signals(tenant, [LAST])
    return {"rows": tenant.lake.rows("signal_snapshots")[LAST]}


def six_additive(tenant: Tenant) -> dict[str, float]:
    """Six counts of all days, not written; levels of stock come with them."""
    known = signals(tenant)
    wanted = {"scarcity_state": known["scarcity_state"]}
    for name, windows in SIX.items():
        measure = known[name].measure.model_copy(update={"windows": windows, "visitors": False})
        wanted[name] = known[name].model_copy(update={"measure": measure})
    shutil.rmtree(tenant.state / STEP, ignore_errors=True)
    return {"rows": sum(found.windows.height for _, found in results(tenant, wanted, DAYS))}


CASES: dict[str, Callable[[Tenant], dict[str, float] | None]] = {
    "scan": scan,
    "six_additive": six_additive,
    "backfill": backfill,
    "one_day": one_day,
}


def show(found: dict[str, Figures]) -> bool:
    """Each case with its ratios; whether every goal is reached."""
    base, reached = found["scan"], True
    print(f"{'':14s} {'wall s':>8s} {'CPU s':>8s} {'MB':>7s} {'wall x':>7s} {'CPU x':>7s} {'rows':>12s}  goal")
    for case, row in found.items():
        wall, cpu = row["wall"] / base["wall"], row["cpu"] / base["cpu"]
        line = f"{case:14s} {row['wall']:8.2f} {row['cpu']:8.2f} {row['mb']:7.0f} {wall:7.2f} {cpu:7.2f}"
        line += f" {row.get('rows', 0):12,.0f}"
        if case in GOALS:
            reached &= cpu <= GOALS[case]
            line += f"  <= {GOALS[case]:.0f}: {'reached' if cpu <= GOALS[case] else 'missed'}"
        print(line)
    print(load())
    return reached


def main() -> None:
    """Prepare and measure in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--visitors", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--case", choices=[*CASES, "prepare", "day_before"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    tenant = tenant_of(options.events, options.visitors)
    if options.case == "prepare":
        print(json.dumps(timed(lambda: prepare(tenant, options.events, options.visitors))))
        return
    if options.case == "day_before":
        print(json.dumps(timed(lambda: day_before(tenant))))
        return
    if options.case:
        print(json.dumps(timed(lambda: CASES[options.case](tenant))))
        return
    size = ["--events", str(options.events), "--visitors", str(options.visitors)]
    in_child(__file__, [*size, "--case", "prepare"])

    def measured(case: str) -> Figures:
        if case == "one_day":
            in_child(__file__, [*size, "--case", "day_before"])
        return in_child(__file__, [*size, "--case", case])

    cases = {case: partial(measured, case) for case in CASES}
    sys.exit(0 if show(interleaved(cases, options.rounds)) else 1)


if __name__ == "__main__":
    main()
