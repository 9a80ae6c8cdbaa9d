"""What a column of a dimension says, by the end of a day, of the ids that the day's rows name.

Which days are out of date is decided elsewhere; this says what to compare. A version that leaves the column as it was
is not looked at, nor one of an id that the day does not name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from functools import partial

import polars as pl

from pipelines.calendar import local_date
from pipelines.config import Tenant
from pipelines.entities.history import BEGINNING
from pipelines.facts.clicks import CLICKED
from pipelines.facts.through_time import VERSION, changes
from pipelines.facts.visitors import ACTS_OF_EVENTS
from pipelines.landing.extracts import of_partitions
from pipelines.storage.hashing import subject_key

_LINE = pl.Struct({"product_id": pl.String()})


def categories_of_acts(tenant: Tenant) -> dict[date, str]:
    """By day: a text that changes with the categories of the products that acts of visitors name."""
    return _used(tenant, [_in_events(tenant, "in_acts", sorted(ACTS_OF_EVENTS))], "products", "category_path")


def categories_of_orders(tenant: Tenant) -> dict[date, str]:
    """By day: a text that changes with the categories of the products that are sold, returned or said to be ordered."""
    lines = of_partitions(tenant, "transactions", "in_lines", _in_lines)
    return _used(tenant, [lines, _in_events(tenant, "in_orders", ["Order Completed"])], "products", "category_path")


def kinds_of_outlets(tenant: Tenant) -> dict[date, str]:
    """By day: a text that changes with the kinds of the outlets that transactions name."""
    return _used(tenant, [of_partitions(tenant, "transactions", "outlets", _of_outlets)], "outlets", "kind")


def lines_of_demand(tenant: Tenant) -> dict[date, str]:
    """By day: a text that changes with what demand reads of ``order_lines``; their category is no part of it."""
    rows = of_partitions(tenant, "order_lines", "demand", _weighed).collect()
    return {day: f"{weight}:{count}" for day, weight, count in rows.select("date", "weight", "rows").iter_rows()}


def _weighed(lines: pl.LazyFrame) -> pl.LazyFrame:
    read = ("order_id", "kind", "product_id", "occurred_at", "quantity", "net_minor", "currency")
    cells = [pl.col(name).to_physical().cast(pl.String).fill_null("") for name in read]
    said = lines.select("date", pl.concat_str(cells, separator="\x1f").alias("weight"))
    keyed = said.with_columns(subject_key("weight"))
    return keyed.group_by("date").agg(pl.col("weight").sum(), pl.len().cast(pl.Int64).alias("rows"))


def campaigns_of_clicks(tenant: Tenant) -> dict[date, str]:
    """By day: a text that changes with the campaigns of the links that are clicked."""
    return _used(tenant, [of_partitions(tenant, "customer_events", "links", _of_clicks)], "links", "campaign_id")


def _used(tenant: Tenant, named: Iterable[pl.LazyFrame], dimension: str, column: str) -> dict[date, str]:
    """By day: a text for the values, through time up to its end, of the ids that are ``named``: date, id."""
    told = _changes(tenant, dimension, column)
    running = (
        told.group_by("id", "day")
        .agg(pl.col("weight").sum())
        .sort("day")
        .with_columns(pl.col("weight").cum_sum().over("id"))
    )
    used = (
        pl.concat(named)
        .unique()
        .sort("date")
        .collect()
        .join_asof(running, left_on="date", right_on="day", by="id", check_sortedness=False)
        .drop_nulls("weight")
        .select("date", pl.concat_str("id", "weight", separator="\x1f").alias("said"))
        .with_columns(subject_key("said"))
    )
    return {day: str(total) for day, total in used.group_by("date").agg(pl.col("said").sum()).iter_rows()}


def _changes(tenant: Tenant, dimension: str, column: str) -> pl.DataFrame:
    """id, day, weight of every change of the column; what holds from the beginning lies before every day."""
    told = changes(tenant.lake.scan(f"{dimension}_history").select(*VERSION, column).collect(), column)
    said = pl.concat_str("id", pl.col("since").to_physical(), pl.col("value").fill_null(""), separator="\x1f")
    begins = pl.col("since") == BEGINNING
    day = pl.when(begins).then(pl.lit(date.min)).otherwise(local_date(pl.col("since"), tenant.zone))
    # An id that says nothing at first is as one that is not there.
    weighed = told.filter(~(begins & pl.col("value").is_null())).with_columns(said.alias("weight"), day.alias("day"))
    return weighed.select(subject_key("id"), "day", subject_key("weight"))


def _in_events(tenant: Tenant, name: str, events: Sequence[str]) -> pl.LazyFrame:
    return of_partitions(tenant, "customer_events", name, partial(_of_events, events))


def _of_events(names: Sequence[str], rows: pl.LazyFrame) -> pl.LazyFrame:
    found = rows.filter(pl.col("event_name").is_in(list(names)))
    listed = (pl.col("products") != "[]").fill_null(False)
    scalar = found.filter(~listed).select("date", pl.col("product_id").alias("id"))
    return pl.concat([scalar, _opened(found.filter(listed), "products")]).pipe(_keys)


def _in_lines(rows: pl.LazyFrame) -> pl.LazyFrame:
    return _opened(rows.filter(pl.col("lines").is_not_null()), "lines").pipe(_keys)


def _of_outlets(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select("date", pl.col("outlet_id").alias("id")).pipe(_keys)


def _of_clicks(rows: pl.LazyFrame) -> pl.LazyFrame:
    found = rows.filter(pl.col("event_name") == CLICKED)
    return found.select("date", pl.col("link_id").alias("id")).pipe(_keys)


def _opened(rows: pl.LazyFrame, column: str) -> pl.LazyFrame:
    products = pl.col(column).str.json_decode(pl.List(_LINE)).list.eval(pl.element().struct[0])
    return rows.select("date", products.alias("id")).explode("id")


def _keys(named: pl.LazyFrame) -> pl.LazyFrame:
    return named.drop_nulls().unique().select("date", subject_key("id"))
