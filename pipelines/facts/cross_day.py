"""Orders whose event and transaction lie on two days: what a day's orders depend on beside that day's own rows.

Which days are out of date is decided elsewhere; this says what to compare.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from pipelines.calendar import local_date
from pipelines.config import Tenant
from pipelines.entities.dated import current
from pipelines.landing import store
from pipelines.storage.hashing import subject_key


def cross_day_orders(tenant: Tenant) -> dict[date, str]:
    """By day: a text that changes when an order that spans this day and another one changes.

    A day without such orders is not in the result. The text does not depend on the order of arrival.
    """
    columns = ("external_id", "event_name", "occurred_at", "customer_id", "flockr_vid", "order_id")
    named = pl.col("event_name") == "Order Completed"
    completed = current(tenant, "customer_events", named, columns, keep="completed")
    events = completed.filter((pl.col("event_name") == "Order Completed") & pl.col("order_id").is_not_null()).select(
        local_date(pl.col("occurred_at"), tenant.zone).alias("event_day"),
        "order_id",
        pl.concat_str(
            "external_id", "customer_id", "flockr_vid", pl.col("occurred_at").to_physical(), ignore_nulls=True
        ).alias("event"),
    )
    versions = (
        store.scan(tenant, "transactions")
        .join(events.lazy().select("order_id").unique(), left_on="external_id", right_on="order_id", how="semi")
        .select("external_id", "date", pl.concat_str("op", pl.col("order_at").to_physical()).alias("version"))
        .collect(engine="streaming")
    )
    # Without a transaction the first of several events counts, so that they depend on each other as well.
    asked = events.select(external_id="order_id", date="event_day", version="event")
    pairs = events.join(pl.concat([versions, asked]), left_on="order_id", right_on="external_id").filter(
        pl.col("date").is_not_null() & (pl.col("date") != pl.col("event_day"))
    )
    weighed = pairs.with_columns(pl.concat_str("order_id", "event", "version", separator="\x1f").alias("pair"))
    weighed = weighed.with_columns(subject_key("pair").alias("weight"))
    both = pl.concat([weighed.select("weight", day=pl.col(side)) for side in ("event_day", "date")])
    totals = both.group_by("day").agg(pl.col("weight").sum())
    return {day: str(weight) for day, weight in totals.select("day", "weight").iter_rows()}
