"""Groups that an outlet belonged to on the day of a sale, as groups and outlets were then."""

from __future__ import annotations

from itertools import pairwise

import polars as pl

from pipelines.facts.places import containment
from pipelines.signals.demand import micros
from pipelines.storage.lake import Lake

_VALID = ("effective_from", "effective_to", "is_deleted")


def with_groups(lake: Lake, rows: pl.DataFrame) -> pl.DataFrame:
    """Repeat each row for every group that its outlet was in at ``at``, at any depth, as ``group_id``.

    Args:
        lake: the tenant's lake.
        rows: ``outlet_id``, ``at`` Int64 microseconds; a row whose outlet is in no group has none, and stays once.
    """
    groups = lake.scan("groups_history").select(
        "external_id", "parent_id", "outlet_ids", "valid_from", "valid_to", *_VALID
    )
    outlets = lake.scan("outlets_history").select("external_id", "group_ids", *_VALID)
    members = memberships(groups.collect(), outlets.collect())
    numbered = rows.with_row_index("_row")
    matched = numbered.join(members, on="outlet_id").filter(
        (pl.col("at") >= pl.col("_from")) & (pl.col("at") < pl.col("_to"))
    )
    pairs = matched.select("_row", "group_id").unique()
    return numbered.join(pairs, on="_row", how="left", maintain_order="left").drop("_row")


def memberships(groups: pl.DataFrame, outlets: pl.DataFrame) -> pl.DataFrame:
    """``outlet_id``, ``group_id``, ``_from``, ``_to`` (Int64 microseconds): who was in which group when.

    Args:
        groups: versions of groups: ``external_id``, ``parent_id``, ``outlet_ids``, ``valid_from``, ``valid_to``,
            ``effective_from``, ``effective_to``, ``is_deleted``.
        outlets: versions of outlets: ``external_id``, ``group_ids`` and the last three.
    """
    groups, outlets = _from_the_beginning(groups), _from_the_beginning(outlets)
    edges = {0, _LAST}
    for frame in (groups, outlets):
        edges.update(frame["_since"].to_list(), frame["_until"].to_list())
    for name in ("valid_from", "valid_to"):
        edges.update(micros(value) for value in groups[name].drop_nulls().unique())
    ordered = sorted(edges)
    found = []
    for start, end in pairwise(ordered):
        now = groups.filter(_holds(start) & _within(start)), outlets.filter(_holds(start))
        inside = containment(
            now[0].select("external_id", "parent_id", "outlet_ids"), now[1].select("external_id", "group_ids")
        )
        pairs = _pairs(inside)
        found.append(
            pairs.with_columns(pl.lit(start).cast(pl.Int64).alias("_from"), pl.lit(end).cast(pl.Int64).alias("_to"))
        )
    return pl.concat(found).unique().sort("outlet_id", "group_id", "_from")


_LAST = 2**62


def _from_the_beginning(versions: pl.DataFrame) -> pl.DataFrame:
    """Versions with ``_since`` and ``_until``; the first of each id holds from the beginning."""
    since = pl.col("effective_from").dt.epoch("us")
    first = since == since.min().over("external_id")
    return versions.with_columns(
        pl.when(first).then(0).otherwise(since).alias("_since"),
        pl.col("effective_to").dt.epoch("us").fill_null(_LAST).alias("_until"),
    )


def _holds(at: int) -> pl.Expr:
    return (pl.col("_since") <= at) & (pl.col("_until") > at) & ~pl.col("is_deleted").fill_null(False)


def _within(at: int) -> pl.Expr:
    since = pl.col("valid_from").dt.epoch("us").fill_null(0)
    until = pl.col("valid_to").dt.epoch("us").fill_null(_LAST)
    return (since <= at) & (until > at)


def _pairs(inside: pl.DataFrame) -> pl.DataFrame:
    """Outlets and the groups around them, from places that are told apart by a prefix."""
    pairs = inside.filter(pl.col("inner").str.starts_with("o:") & pl.col("outer").str.starts_with("g:"))
    return pairs.select(
        pl.col("inner").str.strip_prefix("o:").alias("outlet_id"),
        pl.col("outer").str.strip_prefix("g:").alias("group_id"),
    )
