"""What the pipeline publishes day by day is what SQL says of the same tables, for every cohort of the catalogue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from pipelines.calendar import day_of, days_between
from pipelines.cli.query import run_query
from pipelines.cohorts.catalogue import cohorts
from pipelines.cohorts.history.publish import run
from pipelines.cohorts.sql.compile import members_sql
from pipelines.cohorts.sql.scope import micros
from schemas.registry import LAKE
from tests.cohorts.retailer import write
from tests.cohorts.streams_cases import ZONE
from tests.cohorts.tables_cases import TABLES, tables_case
from tests.conftest import make_workspace

#: Windows no longer than the cases reach back, and thresholds that a few rows reach.
PARAMETERS = """
parameters:
  at_risk_customer: {floor: 3d, multiple: 1}
  campaign_responder: {window: 14d}
  category_affinity: {window: 7d, events: 3}
  discount_responsive: {window: 14d, orders: 2}
  dormant_visitor: {silence: 7d}
  full_price_buyer: {window: 14d, orders: 1, share: 40, share_exit: 60}
  high_intent_browser: {window: 3d, products: 3}
  high_value_at_risk: {window: 14d, percentile: 40}
  lapsed_shopper: {floor: 7d, multiple: 1}
  momentum_chaser: {window: 7d, acts: 2, acts_exit: 1}
  new_customer: {window: 7d}
  omnichannel_shopper: {window: 14d}
  one_and_done: {silence: 3d}
  outlet_regular: {window: 14d, sales: 2, sales_exit: 1}
  referrer_active: {window: 14d}
  repeat_purchaser: {window: 7d}
  rfm_champion: {window: 14d, buyers: 2, history: 2d, recency: 40, recency_exit: 20, frequency: 20, spend: 20}
  scarcity_responsive_shopper: {window: 14d, viewed: 2, viewed_exit: 1, converted: 1, lift: 1.1, lift_exit: 0.9}
  serial_returner: {window: 14d, orders: 1, share: 10, share_exit: 5}
  vip: {window: 14d, orders: 2, orders_exit: 1, percentile: 60, percentile_exit: 40}
  won_back: {window: 7d}
"""
INSTANT = {"signal_crossings": "effective_at", "visitor_orders": "ordered_at", "visitor_purchases": "ordered_at",
           "visitor_daily": "last_at"}  # fmt: skip


def moment(at):
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)


def typed(table, rows):
    """Rows with instants as datetimes, and something in every column that must not be null."""
    times = [name for name, dtype in LAKE[table].schema.items() if dtype == pl.Datetime("us", "UTC")]
    needed = {column.name: column for column in LAKE[table] if column.required and column.name != "date"}
    blank = {"int64": 0, "boolean": False, "timestamp": moment(0), "json": "[]"}
    fill = {name: column.enum[0] if column.enum else blank.get(column.kind, "x") for name, column in needed.items()}
    return [{**fill, **row, **{name: moment(row[name]) for name in times if row.get(name) is not None}} for row in rows]


def publish(tenant, tables):
    """Write the tables and the states of signals; returns the first day of any row."""
    dated = {
        name: [row[INSTANT.get(name, "occurred_at")] for row in rows]
        for name, rows in tables.items()
        if LAKE[name].partitioned and rows
    }
    dates = [moment(at).astimezone(ZONE).date() for instants in dated.values() for at in instants]
    days = days_between(min(dates) - timedelta(days=1), max(dates))
    for name in TABLES:
        if name != "cohort_membership":
            partitions = days if LAKE[name].partitioned else None
            write(tenant, name, typed(name, tables[name]), partitions, INSTANT.get(name, "occurred_at"))
    write(tenant, "identity_links", [], None)
    snapshots(tenant, tables, days)
    return days[0]


def snapshots(tenant, tables, days):
    contract = LAKE["signal_snapshots"]
    schema = {name: dtype for name, dtype in contract.schema.items() if name != "date"}
    moved = sorted(
        (row["effective_at"], row["signal_id"], row["subject"], row["to_state"])
        for row in tables["signal_crossings"]
        if row["suppressed_by"] is None
    )
    with tenant.lake.writer("signal_snapshots") as writer:
        for day in days:
            end = micros(day_of(day, ZONE).end)
            held = {(signal, product): state for at, signal, product, state in moved if at < end}
            rows = [
                {"signal_id": signal, "subject_type": "product", "subject": product, "state": state,
                 "inputs_hash": "x", "definition_version": "x"}
                for (signal, product), state in held.items()
            ]  # fmt: skip
            filled = [{name: row.get(name) for name in schema} for row in rows]
            writer.put(day, pl.DataFrame(filled, schema=schema, orient="row"))


def published(tenant, cohort_id, day):
    rows = tenant.lake.scan("cohort_membership", [day]).filter(pl.col("is_member")).collect()
    return sorted(
        [name, subject]
        for name, subject in rows.select("cohort_id", "subject").iter_rows()
        if name == cohort_id or name.startswith(f"{cohort_id}:")
    )


@pytest.mark.parametrize("seed", [3, 8])
def test_every_cohort_day_after_day(tmp_path, seed):
    workspace = make_workspace(tmp_path)
    file = tmp_path / "tenants" / "acme" / "tenant.yaml"
    file.write_text(file.read_text() + PARAMETERS)
    tenant = workspace.tenant("acme")
    tables, days = tables_case(seed, reach=14)
    run(tenant, days_between(publish(tenant, tables), days[-1]))
    known = cohorts(tenant)
    different = []
    for day in days[-2:]:
        for name in known:
            _, by_sql = run_query(tenant, members_sql(name, known, day, ZONE, "GBP"))
            if published(tenant, name, day) != by_sql:
                different.append((name, day, published(tenant, name, day), by_sql))
    assert not different
