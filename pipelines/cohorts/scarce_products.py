"""When a cart holds a scarce product: presence of products in carts against the spans in which they are scarce.

A product is scarce at t when the newest crossing before t says so: spans are ``(from, to]``. A product is present
from the instant that put it in until the one that took it out: ``[from, to)``.

A crossing that a day's evaluation finds at the very end of the day is seen from the next day on, by whatever happens at
its first instant too. So instants of stock are compared as positions: that of an instant is twice its microseconds, and
one less at the end of a day, where the day is evaluated and such a crossing lies.
"""

from __future__ import annotations

import polars as pl

from pipelines.cohorts.cart_state import INF
from pipelines.cohorts.cart_timeline import Timeline
from pipelines.cohorts.latches import BEFORE
from pipelines.cohorts.span import Span
from pipelines.cohorts.spells import Spells


def position(column: str) -> pl.Expr:
    """Position of an instant within a day."""
    return pl.col(column) * 2


def position_at_end(column: str) -> pl.Expr:
    """Position of the end of a day, as that day sees it."""
    return pl.col(column) * 2 - 1


def scarce_spans(carried: pl.DataFrame, crossings: pl.DataFrame, states: tuple[str, ...], end: int) -> pl.DataFrame:
    """Spans in which products are in one of the states.

    Args:
        carried: products in one of them at the start: ``product_id``, ``state``.
        crossings: not suppressed: ``product_id``, ``to_state``, ``at``, ``at_end``, in the order of their days.
        states: the states.
        end: first instant after the days; what begins at the very end of the last is seen from the next day on.

    Returns:
        ``product_id``, ``state``, ``scarce_from`` (``BEFORE``: since before the days) and ``scarce_to`` (``INF``: goes
        on), and the same as positions: ``from_position``, ``to_position``.
    """
    placed = pl.when("at_end").then(position_at_end("at")).otherwise(position("at"))
    start = carried.select(
        "product_id",
        pl.col("state").alias("to_state"),
        pl.lit(BEFORE).alias("at"),
        pl.lit(BEFORE).alias("placed"),
    )
    found = crossings.with_columns(placed.alias("placed")).select(start.columns)
    path = pl.concat([start, found]).sort("product_id", "placed", maintain_order=True)
    same = (pl.col("product_id") == pl.col("product_id").shift(-1)).fill_null(False)
    spans = path.select(
        "product_id",
        pl.col("to_state").alias("state"),
        pl.col("at").alias("scarce_from"),
        pl.when(same).then(pl.col("at").shift(-1)).otherwise(INF).alias("scarce_to"),
        pl.col("placed").alias("from_position"),
        pl.when(same).then(pl.col("placed").shift(-1)).otherwise(INF).alias("to_position"),
    )
    inside = (pl.col("from_position") < pl.col("to_position")) & (pl.col("scarce_from") < end)
    return spans.filter(pl.col("state").is_in(list(states)) & inside)


def scarce_presence(line: Timeline, spells: Spells, spans: pl.DataFrame) -> pl.DataFrame:
    """Products of open carts while they may be scarce.

    Returns:
        ``spell``, ``product_id``, ``present_from``, ``present_to`` and the columns of ``scarce_spans``; only pairs that
        have an instant in common.
    """
    scarce = spans.select("product_id").unique()
    touched = line.items.select("epoch", "at", "product_id", "quantity").join(scarce, on="product_id", how="semi")
    path = touched.unique(["epoch", "product_id", "at"], keep="last", maintain_order=True)
    same = (pl.col("epoch") == pl.col("epoch").shift(-1)) & (pl.col("product_id") == pl.col("product_id").shift(-1))
    moving = path.with_columns(
        pl.when(same.fill_null(False)).then(pl.col("at").shift(-1)).otherwise(INF).alias("present_to")
    )
    still = line.untouched.select("epoch", "at", "product_id", "quantity").join(scarce, on="product_id", how="semi")
    present = pl.concat([moving, still.with_columns(pl.lit(INF).alias("present_to"))]).filter(pl.col("quantity") > 0)
    placed = present.join(spells.rows.select("epoch", "at", "spell"), on=["epoch", "at"])
    pairs = placed.rename({"at": "present_from"}).join(spans, on="product_id")
    gone = pl.when(pl.col("present_to") < INF).then(position("present_to")).otherwise(INF)
    meets = (position("present_from") <= pl.col("to_position")) & (pl.col("from_position") < gone)
    return pairs.filter(meets).select("spell", "present_from", "present_to", *spans.columns)


def scarce_at(presence: pl.DataFrame, moments: pl.DataFrame) -> pl.DataFrame:
    """Scarce products of a cart at given moments.

    Args:
        presence: what ``scarce_presence`` gave.
        moments: ``spell``, ``seen_at`` (the instant whose contents count), ``at`` (the instant whose stock counts).

    Returns:
        ``moments`` rows with ``product_id`` and ``state``, one row per product.
    """
    pairs = moments.join(presence, on="spell")
    inside = (pl.col("present_from") <= pl.col("seen_at")) & (pl.col("seen_at") < pl.col("present_to"))
    known = (pl.col("from_position") < position("at")) & (position("at") <= pl.col("to_position"))
    return pairs.filter(inside & known).select(*moments.columns, "product_id", "state")


def scarce_at_ends(presence: pl.DataFrame, span: Span) -> pl.DataFrame:
    """Scarce products of a cart at the end of each day: ``spell``, ``day``, ``product_id``, ``state``."""
    rows = presence.select(
        "spell",
        "product_id",
        "state",
        pl.max_horizontal("present_from", "scarce_from").alias("after"),
        pl.min_horizontal("present_to", "scarce_to").alias("until"),
    )
    return span.across(rows, "after", "until")


def quiet_points(presence: pl.DataFrame, quiet_since: pl.DataFrame, quiet: int, start: int) -> pl.DataFrame:
    """When a cart has had no scarce product for long enough.

    Args:
        presence: of the spells in question.
        quiet_since: ``spell``, ``at``: carried carts whose last scarce product stopped being so before the days.
        quiet: microseconds.
        start: first instant of the days; what was scarce before it is known to be so from here on.

    Returns:
        Clear points (``spell``, ``at``), one per silence that was long enough.
    """
    met = presence.select(
        "spell",
        pl.max_horizontal("present_from", "scarce_from", start).alias("from"),
        pl.min_horizontal("present_to", "scarce_to").alias("to"),
    )
    old = quiet_since.select("spell", pl.lit(BEFORE).alias("from"), pl.col("at").alias("to"))
    spans = pl.concat([old, met]).sort("spell", "from", "to")
    spans = spans.with_columns(pl.col("to").cum_max().over("spell").alias("reach"))
    same = (pl.col("spell") == pl.col("spell").shift(-1)).fill_null(False)
    following = pl.when(same).then(pl.col("from").shift(-1)).otherwise(INF)
    ended = pl.col("reach") < INF
    long = ended & (following >= pl.when(ended).then(pl.col("reach") + quiet))
    return spans.filter(long.fill_null(False)).select("spell", (pl.col("reach") + quiet).alias("at"))


def quiet_at_ends(presence: pl.DataFrame, quiet_since: pl.DataFrame, span: Span) -> pl.DataFrame:
    """Since when a cart has had no scarce product, by all that a day knows at its end.

    Args:
        presence: of the spells in question.
        quiet_since: as for ``quiet_points``.
        span: the days.

    Returns:
        ``spell``, ``day``, ``quiet_since``; null while something is scarce.
    """
    old = quiet_since.select("spell", pl.col("at").alias("reach"))
    found = []
    for place, end in enumerate(span.ends):
        visible = presence.filter((pl.col("present_from") < end) & (pl.col("scarce_from") < end))
        gone = pl.when(pl.col("present_to") < end).then("present_to").otherwise(INF)
        over = pl.when(pl.col("to_position") <= 2 * end - 1).then("scarce_to").otherwise(INF)
        reach = pl.concat([old, visible.select("spell", pl.min_horizontal(gone, over).alias("reach"))])
        last = reach.group_by("spell").agg(pl.col("reach").max())
        since = pl.when(pl.col("reach") < INF).then("reach").alias("quiet_since")
        found.append(last.select("spell", pl.lit(place, dtype=pl.Int64).alias("day"), since))
    return pl.concat(found)
