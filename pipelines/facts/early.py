"""Rows that name a product or link before its first version: they take what that version says.

Which days are out of date is decided elsewhere; this says what to compare. A reference that nothing resolves is not
looked at here.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from pipelines.calendar import local_date
from pipelines.config import Tenant
from pipelines.facts.events import STEPS_OF_A_CART, with_lines
from pipelines.storage.hashing import subject_key

Weights = dict[date, str]


def early_prices(tenant: Tenant) -> Weights:
    """By day: a text that changes with the first version of a product that a cart of the day named before it."""
    firsts = _firsts(tenant, "products_history")
    rows = _before(tenant, firsts, list(STEPS_OF_A_CART), ("product_id", "products"))
    return _weights(with_lines(rows).select("date", "occurred_at", "product_id"), firsts, "product_id")


def early_clicks(tenant: Tenant) -> Weights:
    """By day: a text that changes with the first version of a link that was clicked on the day before it."""
    firsts = _firsts(tenant, "links_history")
    return _weights(_before(tenant, firsts, ["Link Clicked"], ("link_id",)), firsts, "link_id")


def _firsts(tenant: Tenant, history: str) -> pl.DataFrame:
    """external_id, first_at, weight: a number that changes with what is said at the first instant."""
    first = pl.col("effective_from") == pl.col("effective_from").min().over("external_id")
    said = pl.concat_str("external_id", pl.col("effective_from").to_physical(), "version_hash", separator="\x1f")
    versions = tenant.lake.scan(history).filter(first).select("external_id", "effective_from", said.alias("said"))
    weighed = versions.with_columns(subject_key("said").alias("weight"))
    totals = weighed.group_by("external_id").agg(
        pl.col("effective_from").min().alias("first_at"), pl.col("weight").sum()
    )
    return totals.collect()


def _before(tenant: Tenant, firsts: pl.DataFrame, names: list[str], columns: tuple[str, ...]) -> pl.DataFrame:
    """date, occurred_at and the columns of the events that may lie before a first version: few days, mostly none."""
    until = firsts.select(local_date(pl.col("first_at").max(), tenant.zone)).item()
    days = [day for day in tenant.lake.days("customer_events") if until is not None and day <= until]
    rows = tenant.lake.scan("customer_events", days).filter(pl.col("event_name").is_in(names))
    return rows.select("date", "occurred_at", *columns).collect(engine="streaming")


def _weights(rows: pl.DataFrame, firsts: pl.DataFrame, key: str) -> Weights:
    named = rows.group_by("date", key).agg(pl.col("occurred_at").min())
    early = named.join(firsts, left_on=key, right_on="external_id").filter(pl.col("first_at") > pl.col("occurred_at"))
    totals = early.group_by("date").agg(pl.col("weight").sum())
    return {day: str(total) for day, total in totals.iter_rows()}
