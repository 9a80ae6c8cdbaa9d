"""A month of a store that has landed and was computed, and 20,000 events of ten of its days that come late.

Events are written as landing writes them, since typing millions of them is what ``ingest.py`` measures; everything else
goes the way that records go. Run as a program, so that the memory this takes is not counted as anybody else's.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import _store_traffic
import numpy as np
import polars as pl

from pipelines import flow
from pipelines.calendar import days_between
from pipelines.config import Tenant, TenantConfig
from pipelines.landing import accounting, layout, repeats
from pipelines.landing.ingest import ingest_file
from pipelines.landing.store import Receipt
from pipelines.storage.hashing import subject_key
from schemas.entities import ENTITIES

DAYS = days_between(date(2026, 6, 1), date(2026, 6, 30))
#: Ten days in the middle, so that there is history before and after.
LATE = DAYS[10:20]
LATE_ROWS = 20_000
RECEIVED = datetime(2026, 7, 1, tzinfo=UTC)
GROUPS = ("entities", "facts", "signals", "cohorts", "exports")
_LINES = (
    '[{"line_no":1,"product_id":"p000000001","quantity":"1","unit_price_minor":900,'
    '"line_gross_minor":900,"line_net_minor":900}]'
)


def tenant_at(home: Path) -> Tenant:
    """The benchmark's tenant; UTC, so that a day has 24 hours."""
    config = TenantConfig.model_validate({"id": "bench", "timezone": "UTC", "exports": {"s3": {"bucket": "bench"}}})
    return Tenant(config, home, home / "tenant")


def late_file(home: Path) -> Path:
    """The late rows, beside the tenant's data."""
    return home / "late.parquet"


def prepare(home: Path, events: int, visitors: int, groups: Sequence[str]) -> None:
    """Land and compute the history, and make the late rows; landing is done once, marked by a file."""
    if not (home / "landed").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        _land(home, events, visitors)
        (home / "landed").touch()
    flow.run(tenant_at(home), select=groups)


def _land(home: Path, events: int, visitors: int) -> None:
    tenant = tenant_at(home)
    reach = np.cumsum(np.random.default_rng(7).gamma(_store_traffic.ZEAL, size=visitors))
    fame = np.cumsum(1 / np.arange(1, _store_traffic.PRODUCTS + 1) ** 1.05)
    _send(tenant, "products", _products())
    _send(tenant, "customers", _customers(visitors))
    _send(tenant, "identity_links", _store_traffic.links(DAYS, visitors))
    for day in DAYS:
        frame = _day(day, events // len(DAYS), reach, fame)
        _put_split(tenant, day, frame)
        _send(tenant, "transactions", _transactions(frame))
    late = [_day(day, 2 * LATE_ROWS, reach, fame, 1).sample(LATE_ROWS // len(LATE), seed=1) for day in LATE]
    pl.concat(late).write_parquet(late_file(home))


def _send(tenant: Tenant, entity: str, frame: pl.DataFrame) -> None:
    file = tenant.home / f"{entity}.parquet"
    frame.write_parquet(file)
    receipt = ingest_file(tenant, entity, file, received_at=RECEIVED)
    file.unlink()
    if receipt.accepted != frame.height:
        raise SystemExit(f"{entity}: only {receipt.accepted} of {frame.height} rows were accepted")


def _put_split(tenant: Tenant, day: date, events: pl.DataFrame) -> None:
    """Split file and receipt of a batch with the events of a day."""
    schema = layout.split_schema(ENTITIES["customer_events"])
    typed = events.with_columns(
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("line_no"),
        pl.lit("upsert").alias("op"),
        pl.col("occurred_at").alias("order_at"),
        pl.lit(day).alias("date"),
        subject_key("external_id").alias("id_key"),
        pl.lit(False).alias("repeat"),
        pl.col("occurred_at").dt.to_string("%Y-%m-%dT%H:%M:%S%.6fZ").alias("occurred_at__text"),
    )
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in schema.items() if name not in typed.columns]
    frame = typed.with_columns(missing).select(schema.names()).sort(layout.SORTED_BY)
    batch_id = hashlib.sha256(f"{day} {events.height}".encode()).hexdigest()
    split = layout.split_file(tenant, "customer_events", batch_id)
    split.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(split, compression="snappy", row_group_size=layout.ROW_GROUP_ROWS, statistics=True)
    rows, by_day = frame.height, repeats.by_day(frame)
    parts = accounting.partitions(by_day, {}, {}, {})
    counts = (rows, rows, 0, 0, 0)
    receipt = Receipt(
        "customer_events", batch_id, f"{day}.parquet", RECEIVED, "file", split.stat().st_size, *counts, day, day,
        dates=(day,), partitions=parts,
    )  # fmt: skip
    layout.receipt_file(tenant, "customer_events", batch_id).write_bytes(receipt.to_json())


def _day(day: date, rows: int, reach: np.ndarray, fame: np.ndarray, salt: int = 0) -> pl.DataFrame:
    """Events of a day; with a salt, others of the same visitors."""
    frame = _store_traffic.events_of(day + timedelta(days=salt * 3650), rows, reach, fame)
    return frame.with_columns(pl.col("occurred_at") - timedelta(days=salt * 3650))


def _products() -> pl.DataFrame:
    return _store_traffic.prices().select(
        "external_id",
        "price_minor",
        "currency",
        pl.col("effective_from").alias("updated_at"),
        pl.lit("Pot").alias("name"),
        pl.lit("home").alias("category_path"),
        pl.lit("active").alias("status"),
    )


def _customers(visitors: int) -> pl.DataFrame:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    return pl.DataFrame({"external_id": _store_traffic.text("k", np.arange(visitors), 9)}).with_columns(
        pl.lit(begin).alias("updated_at"), pl.lit("active").alias("status"), pl.lit("person").alias("type")
    )


def _transactions(events: pl.DataFrame) -> pl.DataFrame:
    bought = events.filter(pl.col("event_name") == "Order Completed")
    return bought.select(
        pl.col("order_id").alias("external_id"),
        pl.lit("sale").alias("type"),
        pl.lit("completed").alias("status"),
        pl.lit("web").alias("channel"),
        pl.lit("GBP").alias("currency"),
        pl.lit(900).alias("gross_minor"),
        pl.lit(900).alias("net_minor"),
        pl.lit(_LINES).alias("lines"),
        (pl.lit("k") + pl.col("flockr_vid").str.slice(-9)).alias("customer_id"),
        "occurred_at",
        pl.col("occurred_at").alias("updated_at"),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("events", type=int)
    parser.add_argument("visitors", type=int)
    parser.add_argument("groups", nargs="*", default=GROUPS)
    given = parser.parse_args()
    prepare(given.home, given.events, given.visitors, given.groups)
