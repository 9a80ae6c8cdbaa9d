"""Cohorts against one scan of the columns they need: one daily partition, and a backfill of 30 days.

Both ratios are from one run. History lies in the string layout of ``customer_events``; data is kept under
``benchmarks/.data`` and made once per size. Peak memory is that of this process while it computes.

    python benchmarks/cohorts.py --events 20000000
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.calendar import days_between
from pipelines.cohorts.run import run as run_cohorts
from pipelines.config import Tenant, TenantConfig
from pipelines.facts.steps import event_facts
from schemas.registry import LAKE

DATA = Path(__file__).parent / ".data"
DAYS = days_between(date(2026, 6, 1), date(2026, 6, 30))
PRODUCTS = 100_000
NAMES = ["Product Viewed", "Product Added", "Product Removed", "Cart Viewed", "Checkout Started", "Order Completed"]
SHARES = [0.80, 0.09, 0.02, 0.045, 0.03, 0.015]
SCANNED = [
    "external_id",
    "event_name",
    "occurred_at",
    "customer_id",
    "flockr_vid",
    "session_id",
    "product_id",
    "cart_id",
    "order_id",
    "currency",
]


def tenant_of(events: int, visitors: int) -> Tenant:
    """The benchmark's tenant; UTC, so that a day has 24 hours."""
    home = DATA / f"cohorts-{events}-{visitors}"
    return Tenant(TenantConfig(id="bench", timezone="UTC"), home, home / "tenant")


def filled(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with every column of the table that it lacks as null."""
    contract = LAKE[table]
    return frame.with_columns(
        pl.lit(None, dtype=column.dtype).alias(column.name)
        for column in contract
        if column.name not in frame.columns and column.name != "date"
    )


def text(prefix: str, values: np.ndarray, width: int) -> pl.Series:
    """Ids of the usual length: a prefix and the number with leading zeros."""
    return pl.Series(values).cast(pl.String).str.zfill(width).str.replace("^", prefix)


def day_of_events(day: date, rows: int, visitors: int) -> pl.DataFrame:
    """Sessions of six events each, products by a Zipf law, deterministic by day."""
    chance = np.random.default_rng(day.toordinal())
    sessions = rows // 6
    who = chance.integers(0, visitors, sessions)
    begins = chance.integers(0, 85_000, sessions)
    visitor, session = np.repeat(who, 6), np.repeat(np.arange(sessions), 6)
    seconds = np.minimum(np.repeat(begins, 6) + np.tile(np.arange(6) * 97, sessions), 86_399)
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000
    at = start + seconds * 1_000_000 + chance.integers(0, 1_000_000, len(seconds))
    kind = chance.choice(len(NAMES), len(seconds), p=SHARES)
    order = day.toordinal() * 10_000_000 + np.arange(len(seconds))
    is_order = pl.Series(kind == NAMES.index("Order Completed"))
    frame = pl.DataFrame(
        {
            "external_id": text("e", order, 31),
            "event_name": pl.Series(kind).replace_strict(dict(enumerate(NAMES)), return_dtype=pl.String),
            "occurred_at": pl.Series(at).cast(pl.Datetime("us", "UTC")),
            "flockr_vid": text("v", visitor, 17),
            "session_id": text("s", day.toordinal() * 10_000_000 + session, 19),
            "product_id": text("p", chance.zipf(1.2, len(seconds)) % PRODUCTS, 9),
            "cart_id": text("c", visitor, 17),
            "channel": pl.repeat("web", len(seconds), eager=True),
            "order_number": text("o", order, 19),
        }
    )
    return frame.with_columns(
        pl.when(is_order).then(None).otherwise("product_id").alias("product_id"),
        pl.when(is_order).then("order_number").alias("order_id"),
    ).drop("order_number")


def generate(tenant: Tenant, events: int, visitors: int) -> None:
    """Write events, orders, prices and stock crossings of all days to the lake, once."""
    if (tenant.home / "complete").exists():
        return
    shutil.rmtree(tenant.home, ignore_errors=True)
    lake = tenant.lake
    products = pl.DataFrame({"external_id": text("p", np.arange(PRODUCTS), 9), "n": np.arange(PRODUCTS)})
    priced = products.select(
        "external_id",
        (pl.col("n") % 9000 + 499).alias("price_minor"),
        pl.lit("GBP").alias("currency"),
        pl.lit(datetime(2026, 1, 1, tzinfo=UTC)).cast(pl.Datetime("us", "UTC")).alias("effective_from"),
        pl.lit(False).alias("is_deleted"),
        pl.lit("0").alias("version_hash"),
    )
    lake.replace("products_history", filled("products_history", priced))
    tables = ("customer_events", "customer_orders", "visitor_orders", "signal_crossings")
    with (
        lake.writer(tables[0]) as acts,
        lake.writer(tables[1]) as orders,
        lake.writer(tables[2]) as ended,
        lake.writer(tables[3]) as crossed,
    ):
        for day in DAYS:
            frame = day_of_events(day, events // len(DAYS), visitors)
            acts.put(day, filled("customer_events", frame))
            bought = frame.filter(pl.col("order_id").is_not_null())
            ended.put(day, filled("visitor_orders", ordered(bought)))
            orders.put(day, filled("customer_orders", sales(bought)))
            crossed.put(day, filled("signal_crossings", crossings(day)))
    (tenant.home / "complete").touch()


def ordered(bought: pl.DataFrame) -> pl.DataFrame:
    """Rows of ``visitor_orders``."""
    return bought.select("flockr_vid", "order_id", pl.col("occurred_at").alias("ordered_at"))


def sales(bought: pl.DataFrame) -> pl.DataFrame:
    """Rows of ``customer_orders``: every visitor is its own customer."""
    one = pl.lit(1000, dtype=pl.Int64)
    return bought.select(
        "order_id",
        pl.lit("sale").alias("kind"),
        pl.col("order_id").alias("sale_id"),
        pl.col("flockr_vid").str.replace("^v", "k").alias("customer_id"),
        "occurred_at",
        one.alias("net_minor"),
        pl.lit("GBP").alias("currency"),
        one.alias("units"),
        pl.lit(0, dtype=pl.Int64).alias("discount_minor"),
        pl.lit("web").alias("channel"),
    )


def crossings(day: date) -> pl.DataFrame:
    """A hundredth of the products changes its scarcity level on a day."""
    chance = np.random.default_rng(day.toordinal())
    product = chance.choice(PRODUCTS, PRODUCTS // 100, replace=False)
    state = chance.choice(["low", "critical", "healthy"], len(product))
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return pl.DataFrame(
        {
            "crossing_id": text(f"x{day}", product, 9),
            "signal_id": pl.repeat("scarcity_state", len(product), eager=True),
            "subject_type": pl.repeat("product", len(product), eager=True),
            "subject": text("p", product, 9),
            "to_state": pl.Series(state),
            "direction": pl.repeat("down", len(product), eager=True),
            "effective_at": pl.repeat(noon, len(product), eager=True).cast(pl.Datetime("us", "UTC")),
            "definition_version": pl.repeat("bench", len(product), eager=True),
        }
    )


def scan(tenant: Tenant, days: list[date]) -> None:
    """Decode every needed column once and keep nothing."""
    lazy = tenant.lake.scan("customer_events", days)
    texts = [pl.col(name).str.len_bytes().cast(pl.Int64).sum() for name in SCANNED if name != "occurred_at"]
    lazy.select(*texts, pl.col("occurred_at").min()).collect(engine="streaming")


def timed(task: Callable[[], object]) -> float:
    """Seconds of wall clock."""
    started = time.perf_counter()
    task()
    return time.perf_counter() - started


def forget(tenant: Tenant, tables: tuple[str, ...]) -> None:
    """Remove results, so that they are computed and written again."""
    for table in tables:
        shutil.rmtree(tenant.lake.root / table, ignore_errors=True)


def measure(tenant: Tenant) -> dict[str, float]:
    """Seconds of each part and the ratios, in one process."""
    cohort_tables = ("cohort_membership", "cohort_transitions", "cohort_sizes")
    forget(tenant, (*cohort_tables, "cart_activity", "visitor_daily"))
    shutil.rmtree(tenant.state, ignore_errors=True)
    scan(tenant, DAYS)
    floor = min(timed(lambda: scan(tenant, DAYS)) for _ in range(3))
    facts = timed(lambda: event_facts(tenant, DAYS))
    backfill = timed(lambda: run_cohorts(tenant, DAYS))
    # The state of the day before, as a daily run would have left it.
    run_cohorts(tenant, DAYS[:-1])
    day_facts = timed(lambda: event_facts(tenant, DAYS[-1:]))
    day_cohorts = min(timed(lambda: run_cohorts(tenant, DAYS[-1:])) for _ in range(2))
    floor = min(floor, *(timed(lambda: scan(tenant, DAYS)) for _ in range(2)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {
        "scan_s": floor,
        "facts_30_days_s": facts,
        "cohorts_30_days_s": backfill,
        "facts_1_day_s": day_facts,
        "cohorts_1_day_s": day_cohorts,
        "day_ratio": day_cohorts / floor,
        "day_with_facts_ratio": (day_cohorts + day_facts) / floor,
        "backfill_ratio": backfill / floor,
        "backfill_with_facts_ratio": (backfill + facts) / floor,
        "peak_gib": peak,
    }


GOALS = {"day_ratio": 3.0, "day_with_facts_ratio": 3.0, "backfill_ratio": 10.0, "peak_gib": 2.5}


def main() -> None:
    """Generate in a process of its own, so that its memory does not count; measure; print against the goals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--visitors", type=int, default=1_000_000)
    parser.add_argument("--generate-only", action="store_true")
    options = parser.parse_args()
    tenant = tenant_of(options.events, options.visitors)
    if options.generate_only:
        generate(tenant, options.events, options.visitors)
        return
    subprocess.run([sys.executable, __file__, *sys.argv[1:], "--generate-only"], check=True)
    found = measure(tenant)
    last = tenant.lake.read("cohort_sizes", DAYS[-1:]).select("cohort_id", "size", "entered", "exited")
    print(last)
    for name, value in found.items():
        goal = GOALS.get(name)
        verdict = "" if goal is None else f"  (goal <= {goal}: {'reached' if value <= goal else 'missed'})"
        print(f"{name:28s} {value:8.2f}{verdict}")


if __name__ == "__main__":
    main()
