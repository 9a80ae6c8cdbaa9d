"""Stock through a day: the steps of every slot, the levels after them, restocks and alerts.

Stock steps at its measured instants, ``start <= t < end``; levels move once more at the end of the day, with the sales
of the day itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.facts.places import PLACE, place, total_changes
from pipelines.signals.arrays import Flags, Ints, Products
from pipelines.signals.catalogue import Signal, StockMove
from pipelines.signals.crossings import SEPARATOR, Crossings
from pipelines.signals.machine import Moves, among
from pipelines.signals.measures import scarcity
from pipelines.signals.measures.scarcity import UNMEASURED, Sales

#: The last measurement of each place; ``inbound_at`` in microseconds.
PLACES = {
    "product_id": pl.String,
    "outlet_id": pl.String,
    "group_id": pl.String,
    "available": pl.Int64,
    "inbound_at": pl.Int64,
}


@dataclass(frozen=True)
class Seen:
    """What changed during a day, by slot and instant, in the order of instants.

    Attributes:
        index: slots.
        at: microseconds.
        available: after the change.
        level: after the change.
    """

    index: Ints
    at: Ints
    available: Ints
    level: Ints


def slot(product: pl.Expr, where: pl.Expr | None = None) -> pl.Expr:
    """Name of a slot."""
    return pl.concat_str(product, pl.lit("") if where is None else where, separator=SEPARATOR)


def steps_of_day(
    measured: pl.DataFrame, before: pl.DataFrame, inside: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Stock of slots when a day begins, its steps, and the new ``PLACES``.

    Args:
        measured: ``stock_levels`` of the day: ``PLACE``, ``measured_at``, ``external_id``, ``available``,
            ``inbound_at``; without null products and quantities.
        before: ``PLACES`` at the end of the day before.
        inside: which place lies inside which, from ``facts.places``.

    Returns:
        ``slot``, ``available`` when the day begins, of the totals of products that are measured on it; ``slot``,
        ``measured_at``, ``available`` of every step, sorted by instant and slot; and ``PLACES``.
    """
    touched = measured.select("product_id").unique()
    mine, others = (before.join(touched, on="product_id", how=how) for how in ("semi", "anti"))
    changes = total_changes(mine, measured, inside).with_columns(
        pl.col("change").cum_sum().over("product_id").alias("available"), slot(pl.col("product_id")).alias("slot")
    )
    once = measured.sort("external_id").unique([*PLACE, "measured_at"], keep="last", maintain_order=True)
    named = once.with_columns(place().alias("place")).filter(pl.col("place") != "")
    columns = ["slot", "measured_at", "available"]
    own = named.with_columns(slot(pl.col("product_id"), pl.col("place")).alias("slot")).select(columns)
    totals = changes.filter(pl.col("measured_at").is_not_null()).select(columns)
    day = measured.sort("measured_at", "external_id").with_columns(pl.col("inbound_at").dt.epoch("us"))
    newest = pl.concat([mine, day.select(list(PLACES))]).unique(PLACE, keep="last", maintain_order=True)
    start = changes.filter(pl.col("measured_at").is_null()).select("slot", "available")
    return start, pl.concat([totals, own]).sort("measured_at", "slot"), pl.concat([others, newest]).sort(PLACE)


@dataclass(frozen=True)
class Definitions:
    """Signals of the stock."""

    scarcity: Signal
    restock: Signal | None
    alert: Signal | None


def through_the_day(
    slots: Products,
    steps: pl.DataFrame,
    rate: Sales,
    signals: Definitions,
    found: Crossings,
) -> tuple[Seen, Flags]:
    """Step the stock through a day with the sales of the days before it.

    Returns:
        What was seen when, and whether there was some in a slot at some time of the day.
    """
    some = (slots["scarcity"] != UNMEASURED) & (slots["available"] > 0)
    seen = []
    for part in _rounds(steps):
        index = slots.index(part["slot"])
        before, after = slots["available"][index], part["available"].to_numpy()
        known = slots["scarcity"][index] != UNMEASURED
        slots["available"][index] = after
        some[index] |= after > 0
        at = part["measured_at"].dt.epoch("us").to_numpy()
        filled = (before <= 0) & (after > 0)
        moves = scarcity.move(slots, rate, signals.scarcity, index, filled)
        _tell(slots, moves, index, at, before, after, signals, found)
        if signals.restock is not None:
            rows = np.flatnonzero(filled & known)
            _event(slots, signals.restock, index[rows], at[rows], before[rows], after[rows], found, up=True)
        seen.append(Seen(index, at, after, slots["scarcity"][index].copy()))
    return _in_order(seen), some


def at_the_end(slots: Products, rate: Sales, signals: Definitions, end: int, found: Crossings) -> Moves:
    """Move the levels once more at the end of a day, with the sales of the day itself."""
    measured = np.flatnonzero(slots["scarcity"] != UNMEASURED)
    moves = scarcity.move(slots, rate, signals.scarcity, measured, np.zeros(len(measured), dtype=np.bool_))
    available = slots["available"][measured]
    _tell(slots, moves, measured, np.full(len(measured), end), available, available, signals, found)
    return moves


def _tell(
    slots: Products, moves: Moves, index: Ints, at: Ints, before: Ints, after: Ints, signals: Definitions, to: Crossings
) -> None:
    if not len(moves.index):
        return
    place = np.full(slots.height, -1, dtype=np.int64)
    place[index] = np.arange(len(index))
    rows = place[moves.index]
    names = dict(enumerate(scarcity.names(signals.scarcity)))
    first = moves.origin == UNMEASURED
    origin = np.where(first, len(signals.scarcity.levels), moves.origin)
    old = (before[rows], np.where(first, 0, 1000))
    new = (after[rows], np.full(len(rows), 1000))
    to.add(signals.scarcity.id, slots.ids, moves, names, at[rows], old, new, moves.target > origin)
    if signals.alert is None or not isinstance(signals.alert.measure, StockMove):
        return
    codes = {name: code for code, name in names.items()}
    calm = among(moves.origin, [codes[name] for name in signals.alert.measure.calm if name in codes])
    alarming = calm & among(moves.target, [codes[name] for name in signals.alert.measure.scarce if name in codes])
    hit = np.flatnonzero(alarming)
    _event(slots, signals.alert, moves.index[hit], at[rows][hit], before[rows][hit], after[rows][hit], to, up=False)


def _event(
    slots: Products, signal: Signal, index: Ints, at: Ints, before: Ints, after: Ints, to: Crossings, *, up: bool
) -> None:
    none = np.zeros(len(index), dtype=np.int64)
    moves = Moves(index, none, none + 1, none)
    thousand = none + 1000
    names = {1: signal.states[0].state}
    to.add(signal.id, slots.ids, moves, names, at, (before, thousand), (after, thousand), np.full(len(index), up))


def _rounds(steps: pl.DataFrame) -> list[pl.DataFrame]:
    """Split steps so that each part has a slot at most once, in the order of instants."""
    if steps.is_empty():
        return []
    turn = steps.with_columns(pl.int_range(pl.len()).over("slot", order_by="measured_at").alias("turn"))
    return turn.sort("turn", "slot").partition_by("turn", maintain_order=True)


def _in_order(parts: list[Seen]) -> Seen:
    none = np.zeros(0, dtype=np.int64)
    joined = [np.concatenate([none, *[getattr(part, name) for part in parts]]) for name in Seen.__annotations__]
    order = np.argsort(joined[1], kind="stable")
    return Seen(*(column[order] for column in joined))


_SOLD = (pl.col("units") != 0) | (pl.col("purchases") != 0)


def days_sales(
    product_daily: pl.DataFrame, lines: pl.DataFrame, inside: pl.DataFrame, online: str | None
) -> pl.DataFrame:
    """Net units and sale lines of a day by slot: ``slot``, each once, ``units``, ``purchases``; where there are any.

    Args:
        product_daily: ``product_id``, ``units_sold``, ``units_returned``, ``purchases``, for the totals.
        lines: ``order_lines``: ``product_id``, ``outlet_id``, ``kind``, ``quantity``, for the places.
        inside: what an outlet sells is sold by the groups around it too.
        online: outlet whose stock sales without an outlet deplete; None where there is none.
    """
    totals = product_daily.select(
        slot(pl.col("product_id")).alias("slot"),
        (pl.col("units_sold") - pl.col("units_returned")).alias("units"),
        "purchases",
    )
    outlet = pl.coalesce("outlet_id", pl.lit(online, dtype=pl.String))
    sold = lines.filter(pl.col("product_id").is_not_null()).select(
        "product_id",
        ("o:" + outlet).alias("place"),
        pl.col("quantity").alias("units"),
        (pl.col("kind") == "sale").cast(pl.Int64).alias("purchases"),
    )
    at_outlets = sold.drop_nulls("place")
    in_groups = at_outlets.join(inside, left_on="place", right_on="inner").with_columns(pl.col("outer").alias("place"))
    places = pl.concat([at_outlets, in_groups.select(at_outlets.columns)])
    added = places.group_by(slot(pl.col("product_id"), pl.col("place")).alias("slot")).agg(
        pl.col("units", "purchases").sum()
    )
    return pl.concat([totals.filter(_SOLD), added.filter(_SOLD)])
