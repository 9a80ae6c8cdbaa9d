"""Spells of an open cart, and the part of each in which it is abandoned.

A spell is a run of instants in one epoch after which the cart holds something. It is abandoned from the first silence
on, and ends with an order, when the cart is emptied, or when the ttl has passed since its last activity.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from pipelines.cohorts.cart_state import INF
from pipelines.cohorts.cart_timeline import Timeline
from pipelines.cohorts.catalogue import CartRules


@dataclass(frozen=True)
class Spells:
    """Spells of some days.

    Attributes:
        rows: open instants: ``row`` (place in the frame), ``spell``, ``cart``, ``epoch``, ``at``, ``carried``,
            ``value``, ``until`` (next instant of the cart, or ``INF``), ``silent_at`` (instant of abandonment within
            the days, or null), sorted by spell and instant.
        spells: ``spell``, ``cart``, ``abandoned_at`` (null when it is not), ``was_abandoned`` (before the days),
            ``exit_at`` (``INF`` when it goes on), ``exit_cause``.
    """

    rows: pl.DataFrame
    spells: pl.DataFrame


def spells(line: Timeline, rules: CartRules, start: int, end: int) -> Spells:
    """Find the spells of some days and what ends them.

    Args:
        line: the days' timeline.
        rules: silence and ttl.
        start: first instant of the days, in microseconds.
        end: first instant after them.
    """
    rows = _open_rows(line, rules, start, end)
    latched = line.held.select("cart", "abandoned_at").drop_nulls()
    before = rows.filter("carried").select("spell", "cart").join(latched, on="cart").select("spell", "abandoned_at")
    found = rows.group_by("spell").agg(
        pl.col("cart", "epoch", "order_at").first(),
        pl.col("at").max().alias("last_at"),
        pl.col("silent_at").min(),
        pl.col("until").last(),
    )
    found = found.join(before, on="spell", how="left").with_columns(
        pl.col("abandoned_at").is_not_null().alias("was_abandoned"),
        pl.coalesce("abandoned_at", "silent_at").alias("abandoned_at"),
        (pl.col("last_at") + rules.ttl).alias("expiry"),
        pl.col("order_at").fill_null(INF),
    )
    exit_at = pl.min_horizontal("order_at", "until", "expiry")
    cause = (
        pl.when(pl.col("order_at") == exit_at)
        .then(pl.lit("order"))
        .when(pl.col("until") == exit_at)
        .then(pl.lit("cart_emptied"))
        .otherwise(pl.lit("expiry"))
    )
    ended = found.with_columns(exit_at.alias("exit_at"), cause.alias("exit_cause")).with_columns(
        pl.when(pl.col("abandoned_at") < pl.col("exit_at")).then("abandoned_at").alias("abandoned_at"),
        pl.when(pl.col("exit_at") < end).then("exit_at").otherwise(INF).alias("exit_at"),
    )
    columns = ["spell", "cart", "abandoned_at", "was_abandoned", "exit_at", "exit_cause"]
    numbered = rows.drop("order_at").with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    return Spells(numbered, ended.select(columns).sort("spell"))


def _open_rows(line: Timeline, rules: CartRules, start: int, end: int) -> pl.DataFrame:
    same = pl.col("epoch") == pl.col("epoch").shift(1)
    next_same = pl.col("epoch") == pl.col("epoch").shift(-1)
    is_open = pl.col("open_items") > 0
    fresh = is_open & ~(same & is_open.shift(1)).fill_null(False)
    due = pl.col("at") + rules.silence
    rows = line.instants.with_columns(
        fresh.cast(pl.Int64).cum_sum().alias("spell"),
        pl.when(next_same).then(pl.col("at").shift(-1)).otherwise(INF).alias("until"),
    ).filter(is_open)
    silent = (pl.col("until") >= due) & (pl.col("order_at").fill_null(INF) > due) & due.is_between(start, end - 1)
    return rows.with_columns(pl.when(silent).then(due).alias("silent_at")).select(
        "spell", "cart", "epoch", "at", "carried", "value", "until", "silent_at", "order_at"
    )
