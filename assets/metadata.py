"""What a person sees on an asset's page: schema, row counts, a preview, and numbers plotted over partitions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, time, timedelta
from typing import Any

import dagster as dg
import polars as pl

from pipelines.cohorts.history import official
from pipelines.config import Tenant
from pipelines.flow import Work
from schemas.contract import Contract
from schemas.registry import LAKE

_PREVIEW_ROWS = 8
#: Tables of signals whose states are plotted, and the rows that count: cells are too many to be lines of a plot.
_STATES = {
    "signal_snapshots": pl.col("state").is_not_null() & pl.col("place").is_null(),
    "visitor_signal_snapshots": pl.col("state").is_not_null() & (pl.col("signal_id") != "rfm_cell"),
}


def column_schema(contract: Contract) -> dg.TableSchema:
    """Column names, types and descriptions of a contract."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.kind,
                description=column.description or None,
                constraints=dg.TableColumnConstraints(nullable=not column.required),
            )
            for column in contract
        ]
    )


def definition_metadata(tenant: Tenant, table: str) -> Mapping[str, Any]:
    """Metadata that does not change from run to run."""
    if table not in LAKE:
        return {}
    return {
        "dagster/column_schema": column_schema(LAKE[table]),
        "dagster/table_name": f"{tenant.id}.{table}",
        "primary key": ", ".join(LAKE[table].primary_key),
    }


def work_metadata(work: Work, output: str, day: date | None) -> dict[str, Any]:
    """Numbers of one published partition, and why it was computed.

    ``rows_changed`` counts rows added, changed and removed; where ``rows_changed_exact`` is false only the numbers of
    rows were compared, since the partition is large, and at least so many differ.
    ``partitions_skipped_equal`` is 1 where nothing was published, since the result or all inputs are what they were.
    """
    commit = work.commits.get(output)
    if commit is None or day not in commit.rows:
        return {"partitions_skipped_equal": 1, "recompute_reason": "nothing differs"}
    key = "dagster/row_count" if day is None else "dagster/partition_row_count"
    changes = work.changes.get(output, {}).get(day)
    return {
        key: commit.rows[day],
        "version": commit.version,
        "changed": int(day in commit.changed),
        "partitions_skipped_equal": int(day in commit.equal),
        "recompute_reason": work.reasons.get(day, "forced"),
        **({"rows_changed": changes.total, "rows_changed_exact": changes.exact} if changes else {}),
    }


def due_policy(tenant: Tenant) -> dg.FreshnessPolicy:
    """Shown beside each export: whether it was made between midnight and the promise, in the tenant's zone."""
    due = time.fromisoformat(tenant.config.exports.promised_by)
    since_midnight = timedelta(hours=due.hour, minutes=due.minute)
    return dg.FreshnessPolicy.cron(
        deadline_cron=f"{due.minute} {due.hour} * * *",
        lower_bound_delta=max(since_midnight, timedelta(hours=1)),
        timezone=tenant.config.timezone,
    )


def promise_metadata(tenant: Tenant, dataset: str, day: date) -> dict[str, Any]:
    """When a day of an export was promised and published, of how much it knew, and what was still missing."""
    rows = tenant.lake.read("export_slo", [day]).filter(pl.col("dataset") == dataset).sort("revision")
    if rows.is_empty():
        return {}
    first, newest = rows.row(0, named=True), rows.row(-1, named=True)
    return {
        "promised_at": dg.MetadataValue.timestamp(first["promised_at"]),
        "first_published_at": dg.MetadataValue.timestamp(first["published_at"]),
        "in_time": first["published_at"] <= first["promised_at"],
        "completeness_percent": int(100 * (newest["completeness"] or 0)),
        "missing": newest["missing"] or "{}",
    }


def day_numbers(tenant: Tenant, table: str, days: list[date]) -> dict[date, dict[str, int]]:
    """Numbers of each day that are worth a plot: cohort sizes and moves, signal states, and how the signals fare."""
    if not days or table not in ("cohort_sizes", "signal_metrics", *_STATES):
        return {}
    frame = tenant.lake.scan(table, days)
    if table == "cohort_sizes":
        melted = (
            official.counting(tenant, frame)
            .unpivot(["size", "entered", "exited"], index=["date", "cohort_id"])
            .select("date", pl.format("{} {}", "variable", "cohort_id").alias("name"), "value")
        )
    elif table == "signal_metrics":
        named = pl.concat_str("metric", "signal_id", "state", separator=" ", ignore_nulls=True)
        # A plot is of whole numbers; a share is told in percent.
        percent = pl.col("count") * 100 // pl.max_horizontal("of", 1)
        value = pl.when(pl.col("metric") == "demand_coverage").then(percent).otherwise("count")
        melted = frame.select("date", named.alias("name"), value.alias("value"))
    else:
        counted = frame.filter(_STATES[table]).group_by("date", "signal_id", "state").len("value")
        melted = counted.select("date", pl.format("{} {}", "signal_id", "state").alias("name"), "value")
    numbers: dict[date, dict[str, int]] = {}
    for day, name, value in melted.sort("date", "name").collect().iter_rows():
        numbers.setdefault(day, {})[name] = int(value)
    return numbers


def preview(tenant: Tenant, table: str, day: date | None) -> dict[str, Any]:
    """First rows of the newest partition, as a table."""
    if table not in LAKE:
        return {}
    head = tenant.lake.scan(table, None if day is None else [day]).head(_PREVIEW_ROWS).collect()
    shown = head.select(pl.all().cast(pl.String).str.slice(0, 60))
    records = [dg.TableRecord(row) for row in shown.fill_null("").to_dicts()]
    if not records:
        return {"preview": dg.MetadataValue.md("*no rows*")}
    schema = dg.TableSchema([dg.TableColumn(name, "string") for name in shown.columns])
    return {"preview": dg.MetadataValue.table(records, schema)}
