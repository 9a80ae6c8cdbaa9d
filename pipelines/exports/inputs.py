"""What a revision was made from: input versions, and the references that were still open."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import PurePosixPath

import polars as pl

from pipelines.storage.lake import Lake
from schemas.exports import LEDGERS
from schemas.registry import LAKE

Inputs = list[dict[str, str | None]]
References = tuple[dict[str, int], float]

#: Dated entities that a dataset's rows of a day come from.
SOURCES: dict[str, tuple[str, ...]] = {
    "events": ("customer_events",),
    "cohort_membership": ("customer_events", "transactions"),
    "cohort_membership_history": ("customer_events", "transactions"),
    "cohort_transitions": ("customer_events", "transactions"),
    "cohort_sizes": ("customer_events", "transactions"),
    "signal_snapshots": ("customer_events", "transactions", "stock_levels"),
    "signal_crossings": ("customer_events", "transactions", "stock_levels"),
    "visitor_signal_snapshots": ("customer_events", "transactions", "stock_levels"),
    "visitor_signal_crossings": ("customer_events", "transactions", "stock_levels"),
    "signal_windows": ("customer_events", "transactions"),
    "signal_metrics": ("customer_events", "transactions", "stock_levels"),
}


def input_versions(lake: Lake, tables: Sequence[str], days: Sequence[date]) -> dict[date, Inputs]:
    """Asset, partition and version of the tables, for each day.

    The version is the content name of the partition's file, so that equal inputs have equal versions however often they
    were written. Tables without days count as one partition, which is None.
    """
    found: dict[date, Inputs] = {day: [] for day in days}
    for table in sorted(set(tables) & set(LAKE)):
        files = lake.files(table)
        for day in days:
            if day in files:
                found[day].append(_input(table, day.isoformat(), files[day]))
            elif None in files:
                found[day].append(_input(table, None, files[None]))
    return found


def _input(table: str, partition: str | None, file: str) -> dict[str, str | None]:
    return {"asset": table, "partition": partition, "version": PurePosixPath(file).stem}


def open_references(lake: Lake, dataset: str, days: Sequence[date]) -> dict[date, References]:
    """References that resolve to nothing in the records of each day, and the share of its records that have none.

    Returns:
        For each day the number of references by ``<entity>.<field>``, and a share from 0 to 1; 1 when there is no
        record.
    """
    if dataset in LEDGERS:
        return dict.fromkeys(days, ({}, 1.0))
    entities = list(SOURCES[dataset])
    waiting = (
        lake.scan("unresolved_references")
        .filter(pl.col("entity").is_in(entities) & pl.col("date").is_in(list(days)))
        .select("date", "entity", "row_id", pl.concat_str("entity", "field", separator=".").alias("reference"))
        .collect()
    )
    records = [lake.rows(entity) for entity in entities]
    return {
        day: _references(waiting.filter(pl.col("date") == day), sum(rows.get(day, 0) for rows in records))
        for day in days
    }


def _references(waiting: pl.DataFrame, records: int) -> References:
    by_reference = waiting.group_by("reference").len().sort("reference")
    affected = waiting.select("entity", "row_id").n_unique() if waiting.height else 0
    share = max(records - affected, 0) / records if records else 1.0
    return {name: int(count) for name, count in by_reference.iter_rows()}, share
