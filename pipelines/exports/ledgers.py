"""Datasets that say what we knew and did, by tenant day: what waits, what was refused, what was sent, who is who.

Most come from tables without days. A row belongs to the day that it names; one that names none to the day on which it
began, or was received.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Select, make_url, select

from pipelines.calendar import day_of, local_date
from pipelines.config import Tenant, Workspace
from pipelines.storage.control.engine import open_control, reading
from pipelines.storage.control.tables import attempts
from pipelines.storage.hashing import logical_sha256
from schemas.exports import LEDGERS, file_contract
from schemas.registry import LAKE

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def ledger_rows(tenant: Tenant, dataset: str, day: date) -> pl.DataFrame:
    """Rows of a dataset on a day, with the columns of its file; none where nothing keeps them yet."""
    if dataset == "webhook_deliveries":
        return _attempts(tenant, day)
    contract = file_contract(dataset)
    if dataset not in LAKE:
        return contract.empty()
    return _dated(tenant, dataset).filter(pl.col("date") == day).select(contract.names).collect()


def texts_by_day(dataset: str) -> Callable[[Tenant], dict[date, str]]:
    """What a day's rows of a dataset are, as a hash: a day without rows has none."""

    def hashes(tenant: Tenant) -> dict[date, str]:
        rows = _dated(tenant, dataset).select("date", *file_contract(dataset).names).collect()
        parts = rows.sort(pl.all()).partition_by("date", as_dict=True)
        return {day: logical_sha256(part) for (day,), part in parts.items() if day is not None}

    return hashes


def attempts_by_day(tenant: Tenant) -> dict[date, str]:
    """What was sent on each day, as a text that every further attempt changes."""
    columns = [attempts.c.attempt_id, attempts.c.at]
    rows = _rows(tenant, select(*columns).where(attempts.c.tenant == tenant.id))
    frame = pl.DataFrame(rows, schema={"attempt_id": pl.Int64, "at": pl.Int64}, orient="row")
    at = pl.from_epoch("at", time_unit="us").dt.replace_time_zone("UTC")
    days = frame.group_by(local_date(at, tenant.zone).alias("day")).agg(pl.len(), pl.col("attempt_id").max())
    return {day: f"{number} {newest}" for day, number, newest in days.iter_rows()}


def _dated(tenant: Tenant, dataset: str) -> pl.LazyFrame:
    rows = tenant.lake.scan(dataset)
    return _DATED[dataset](tenant, rows) if dataset in _DATED else rows


def _waiting(tenant: Tenant, rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.with_columns(pl.coalesce("date", local_date(pl.col("since"), tenant.zone)).alias("date"))


def _refused(tenant: Tenant, rows: pl.LazyFrame) -> pl.LazyFrame:
    received = tenant.lake.scan("batches").select(
        "entity", "batch_id", local_date(pl.col("received_at"), tenant.zone).alias("received_on")
    )
    joined = rows.join(received, on=["entity", "batch_id"], how="left")
    return joined.with_columns(pl.coalesce("date", "received_on").alias("date"))


def _linked(tenant: Tenant, rows: pl.LazyFrame) -> pl.LazyFrame:
    day = local_date(pl.col("occurred_at"), tenant.zone)
    return rows.rename({"external_id": "identity_link_id"}).with_columns(day.alias("date"))


_DATED: Mapping[str, Callable[[Tenant, pl.LazyFrame], pl.LazyFrame]] = {
    "unresolved_references": _waiting,
    "quarantine": _refused,
    "identity_links": _linked,
}


def _attempts(tenant: Tenant, day: date) -> pl.DataFrame:
    """Attempts whose instant falls on the day; URLs and answers, which may hold a token, stay where they are."""
    contract = file_contract("webhook_deliveries")
    bounds = day_of(day, tenant.zone)
    start, end = ((instant - _EPOCH) // _MICROSECOND for instant in (bounds.start, bounds.end))
    columns = [attempts.c.at if name == "attempted_at" else attempts.c[name] for name in contract.names]
    wanted = select(*columns).where(attempts.c.tenant == tenant.id, attempts.c.at >= start, attempts.c.at < end)
    rows = _rows(tenant, wanted.order_by(attempts.c.attempt_id))
    whole = ("attempt_id", "attempted_at")
    numbers = {name: pl.Int64() if name in whole else kind for name, kind in contract.schema.items()}
    frame = pl.DataFrame(rows, schema=numbers, orient="row")
    return frame.with_columns(
        pl.format("att_{}", pl.col("attempt_id").cast(pl.String).str.zfill(12)).alias("attempt_id"),
        pl.from_epoch("attempted_at", time_unit="us").dt.replace_time_zone("UTC"),
    )


def _rows(tenant: Tenant, wanted: Select[Any]) -> list[tuple[Any, ...]]:
    """Rows of the control data; none where nobody has made any yet."""
    url = Workspace(tenant.home, tenant.folder.parent).control_url
    file = make_url(url).database if url.startswith("sqlite") else None
    if file is not None and not Path(file).exists():
        return []
    engine = open_control(url)
    try:
        with reading(engine) as connection:
            return [tuple(row) for row in connection.execute(wanted)]
    finally:
        engine.dispose()


assert set(LEDGERS) >= set(_DATED)  # noqa: S101
