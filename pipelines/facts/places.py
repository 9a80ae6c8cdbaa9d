"""Which measured places add up to a tenant's stock: what a group reports holds the outlets and groups inside it.

A place is an outlet, else a group, else the whole tenant, where neither is named. Facts and signals both add up here.
"""

from __future__ import annotations

import polars as pl

from pipelines.config import Tenant
from pipelines.entities.history import BEGINNING

PLACE = ("product_id", "outlet_id", "group_id")
_TIME = pl.Datetime("us", "UTC")


def tenant_containment(tenant: Tenant) -> pl.DataFrame:
    """``containment`` of the newest outlets and groups, which stands for every day.

    What a group held in the past is not looked up: a change of membership counts from the days computed after it.
    """
    groups = tenant.lake.scan("groups").select("external_id", "parent_id", "outlet_ids")
    outlets = tenant.lake.scan("outlets").select("external_id", "group_ids")
    return containment(groups.collect(), outlets.collect())


def containment(groups: pl.DataFrame, outlets: pl.DataFrame) -> pl.DataFrame:
    """Every pair of places of which one lies inside the other, at any depth: ``inner``, ``outer``, sorted.

    Groups in a circle hold the same outlets, so the one with the least id counts as around the others.

    Args:
        groups: ``external_id``, ``parent_id``, ``outlet_ids``.
        outlets: ``external_id``, ``group_ids``. Either side may tell a membership.
    """
    listed = pl.concat(
        [
            _pairs(_opened(outlets, "group_ids"), _outlet("external_id"), _group("group_ids")),
            _pairs(_opened(groups, "outlet_ids"), _outlet("outlet_ids"), _group("external_id")),
            _pairs(groups, _group("external_id"), _group("parent_id")),
        ]
    ).unique()
    found, height = listed, -1
    while found.height != height:
        height = found.height
        further = found.join(listed, left_on="outer", right_on="inner").select("inner", outer="outer_right")
        found = pl.concat([found, further]).unique()
    both_ways = found.join(found, left_on=["inner", "outer"], right_on=["outer", "inner"], how="semi")
    circular = both_ways.filter(pl.col("inner") <= pl.col("outer"))
    return found.join(circular, on=["inner", "outer"], how="anti").sort("inner", "outer")


def total_changes(before: pl.DataFrame, measured: pl.DataFrame, inside: pl.DataFrame) -> pl.DataFrame:
    """Changes of each product's total over the places that do not lie inside another measured place of the product.

    A place counts until the first measurement of one around it. Of two ids of one measurement the greater counts.

    Args:
        before: the last measurement of each place before the day: ``PLACE``, ``available``.
        measured: of the day: ``PLACE``, ``measured_at``, ``external_id``, ``available``; no null product or quantity.
        inside: ``containment``.

    Returns:
        ``product_id``, ``measured_at`` (null: the total when the day began), ``change`` Int64 thousandths, one row per
        product and instant at which a place that counts was measured, sorted by both.
    """
    once = measured.sort("external_id").unique([*PLACE, "measured_at"], keep="last", maintain_order=True)
    start = before.select(*PLACE, pl.lit(BEGINNING, dtype=_TIME).alias("at"), "available")
    path = pl.concat([start, once.select(*PLACE, pl.col("measured_at").alias("at"), "available")])
    steps = _outermost(path, inside).sort(*PLACE, "at")
    # A place's change against its previous measurement turns sums over places into one running sum per product.
    same_place = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in PLACE)
    previous = pl.when(same_place.fill_null(False)).then(pl.col("available").shift(1)).otherwise(0)
    changes = steps.with_columns((pl.col("available") - previous).alias("change"))
    moments = changes.group_by("product_id", "at").agg(pl.col("change").sum()).sort("product_id", "at")
    return moments.select("product_id", pl.when(pl.col("at") > BEGINNING).then("at").alias("measured_at"), "change")


def _outermost(path: pl.DataFrame, inside: pl.DataFrame) -> pl.DataFrame:
    """The path of each place up to the instant at which one around it is measured, and nothing there from then on."""
    named = path.with_columns(place().alias("place"))
    until = _covered(named.group_by("product_id", "place").agg(pl.col("at").min()), inside)
    if until.is_empty():
        return path
    marked = named.join(until, on=["product_id", "place"], how="left")
    counted = marked.filter(pl.col("until").is_null() | (pl.col("at") < pl.col("until"))).select(path.columns)
    closed = marked.filter(pl.col("until").is_not_null()).select(*PLACE, at="until", available=pl.lit(0, pl.Int64))
    return pl.concat([counted, closed.unique()])


def _covered(first: pl.DataFrame, inside: pl.DataFrame) -> pl.DataFrame:
    """Places with another around them, and since when: product_id, place, ``until``.

    Args:
        first: product_id, place, ``at`` of its first measurement.
        inside: ``containment``.
    """
    outer = first.rename({"place": "outer"})
    within_group = first.select("product_id", "place").join(inside, left_on="place", right_on="inner")
    in_groups = within_group.join(outer, on=["product_id", "outer"])
    whole = first.filter(pl.col("place") == "").select("product_id", "at")
    in_whole = first.filter(pl.col("place") != "").select("product_id", "place").join(whole, on="product_id")
    covers = pl.concat([in_groups.select("product_id", "place", "at"), in_whole])
    return covers.group_by("product_id", "place").agg(pl.col("at").min().alias("until"))


def place() -> pl.Expr:
    """Name of a place: ``o:`` and an outlet, ``g:`` and a group, or empty for the whole tenant."""
    return pl.coalesce(_outlet("outlet_id"), _group("group_id"), pl.lit(""))


def _outlet(column: str) -> pl.Expr:
    return "o:" + pl.col(column)


def _group(column: str) -> pl.Expr:
    return "g:" + pl.col(column)


def _opened(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    return frame.with_columns(pl.col(column).str.json_decode(pl.List(pl.String()))).explode(column)


def _pairs(frame: pl.DataFrame, inner: pl.Expr, outer: pl.Expr) -> pl.DataFrame:
    return frame.select(inner.alias("inner"), outer.alias("outer")).drop_nulls()
