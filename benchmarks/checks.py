"""Checking rows against their contract, against writing them: ten million events as the lake publishes them.

Checks: ``lake.conform`` of frames in order (columns, types, required values, enums, order and uniqueness of the key).
Writing: the same frames as the lake writes a partition, flushed. Every case runs in a fresh process, cases take turns,
and ratios are of medians of CPU seconds, since others may share the cores.

    python benchmarks/checks.py --rows 10000000 --days 30 --rounds 3
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from _measure import DATA, Figures, in_child, interleaved, load, timed

from pipelines.storage.durable import fsync_file
from pipelines.storage.lake import ROW_GROUP, conform
from schemas.entities import ENTITIES

CONTRACT = ENTITIES["customer_events"].contract
LIMIT = 0.15
FIRST = date(2026, 1, 1)


def frames(rows: int, days: int) -> Iterator[tuple[date, pl.DataFrame]]:
    """Each day's events, sorted by id, with values in the columns that shops fill."""
    random = np.random.default_rng(11)
    for index in range(days):
        day = FIRST + timedelta(days=index)
        count = rows // days
        yield day, _day(random, day, index * count, count)


def _day(random: np.random.Generator, day: date, start: int, count: int) -> pl.DataFrame:
    visitor = random.integers(0, 100_000, count)
    product = random.zipf(1.2, count) % 50_000
    frame = pl.DataFrame({"place": np.arange(start, start + count), "visitor": visitor, "product": product})
    known = pl.col("visitor") % 3 == 0
    at = pl.datetime(day.year, day.month, day.day, time_zone="UTC") + pl.duration(seconds=pl.col("place") % 86_400)

    def one_of(*values: str) -> pl.Series:
        return pl.Series(np.array(values)[random.integers(0, len(values), count)])

    filled = {
        "external_id": pl.format("evt-{}", pl.col("place").cast(pl.String).str.zfill(12)),
        "event_name": one_of("Product Viewed", "Product Added", "Cart Viewed"),
        "occurred_at": at,
        "customer_id": pl.when(known).then(pl.format("cus-{}", "visitor")),
        "flockr_vid": pl.format("fv-{}", pl.col("visitor").cast(pl.String).str.zfill(14)),
        "session_id": pl.format("ses-{}", "visitor"),
        "channel": one_of("web", "app", "email"),
        "product_id": pl.format("sku-{}", "product"),
        "cart_id": pl.format("cart-{}", "visitor"),
        "value_minor": pl.col("product") * 7 + 99,
        "currency": one_of("GBP", "EUR"),
        "url_path": pl.format("/p/sku-{}", "product"),
        "device_type": one_of("mobile", "desktop", "other"),
        "agent_class": one_of("human", "bot", "unknown"),
    }
    return frame.select(
        filled.get(column.name, pl.lit(None)).cast(column.dtype).alias(column.name)
        for column in CONTRACT
        if column.name != "date"
    ).with_columns(pl.lit(day).alias("date"))


def check(day: date, frame: pl.DataFrame, folder: Path) -> None:
    """Everything that is asked of a partition before it is published."""
    conform(frame, CONTRACT, day)


def write(day: date, frame: pl.DataFrame, folder: Path) -> None:
    """Write a partition as the lake does."""
    path = folder / f"{day}.parquet"
    frame.select(CONTRACT.names).drop("date").write_parquet(
        path, compression="snappy", row_group_size=ROW_GROUP, statistics=True
    )
    fsync_file(path)
    path.unlink()


CASES = {"check": check, "write": write}


def measured(case: str, rows: int, days: int) -> Figures:
    """Wall and CPU seconds of a case over all days, without making the rows."""
    DATA.mkdir(parents=True, exist_ok=True)
    total: Figures = {"wall": 0.0, "cpu": 0.0, "mb": 0.0}
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        for day, frame in frames(rows, days):
            found = timed(lambda day=day, frame=frame: CASES[case](day, frame, Path(folder)))
            total = {"wall": total["wall"] + found["wall"], "cpu": total["cpu"] + found["cpu"], "mb": found["mb"]}
    return total


def _verdict(good: bool) -> str:
    return "reached" if good else "missed"


def main() -> int:
    """Print the figures; exit 1 when the limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measured(options.case, options.rows, options.days)))
        return 0
    size = ["--rows", str(options.rows), "--days", str(options.days)]
    cases = {case: lambda case=case: in_child(__file__, ["--case", case, *size]) for case in CASES}
    found = interleaved(cases, options.rounds)
    for case, row in found.items():
        print(f"{case:6} {row['wall']:7.2f} s wall {row['cpu']:7.2f} s CPU {row['mb']:6.0f} MB")
    share = found["check"]["cpu"] / found["write"]["cpu"]
    good = share <= LIMIT
    print(f"checks take {share:.1%} of the CPU time of writing (limit {LIMIT:.0%}): {_verdict(good)}; {load()}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
