"""Scarcity levels: stock stepped at the instants it was measured, runway from the sales of complete days, hysteresis.

Quantities are thousandths. A runway of r days is at most b exactly when available x in-stock days <= b x net units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.facts.places import PLACE, total_changes
from pipelines.signals.arrays import Flags, Ints, Products
from pipelines.signals.catalogue import Signal

SALES_DAYS = 14
UNMEASURED = -1
#: Columns of ``Products`` that scarcity carries.
DEFAULTS = {"available": 0, "scarcity": UNMEASURED}
PLACES = {"product_id": pl.String, "outlet_id": pl.String, "group_id": pl.String, "available": pl.Int64}


@dataclass(frozen=True)
class Sales:
    """Sales by product over complete days: net units on in-stock days, how many those are, days with a sale lately."""

    units: Ints
    days: Ints
    sold: Ints


def sales(products: Products, history: pl.DataFrame, sold_days: int) -> Sales:
    """Sales rates.

    Args:
        products: gives the index.
        history: ``product_daily`` of the 14 days: ``product_id``, ``units_sold``, ``units_returned``, ``in_stock``,
            ``purchases``, ``age`` (1 for the newest day).
        sold_days: days in which a sale must lie.
    """
    per_product = (
        history.filter(pl.col("in_stock"))
        .group_by("product_id")
        .agg((pl.col("units_sold") - pl.col("units_returned")).sum().alias("units"), pl.len().cast(pl.Int64).alias("n"))
        .sort("product_id")
    )
    index = products.index(per_product["product_id"])
    bought = (
        history.filter(pl.col("age") <= sold_days)
        .group_by("product_id")
        .agg(pl.col("purchases").sum())
        .sort("product_id")
    )
    bought_index = products.index(bought["product_id"])
    units, days, sold = (np.zeros(products.height, dtype=np.int64) for _ in range(3))
    units[index], days[index] = per_product["units"].to_numpy(), per_product["n"].to_numpy()
    sold[bought_index] = bought["purchases"].to_numpy()
    return Sales(units, days, sold)


def stock_steps(
    measured: pl.DataFrame, places: pl.DataFrame, inside: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Totals of products when a day begins, and their changes at each instant of it.

    Args:
        measured: ``stock_levels`` of the day: ``product_id``, ``outlet_id``, ``group_id``, ``measured_at``,
            ``external_id``, ``available``.
        places: the last measurement of each place before the day (schema ``PLACES``).
        inside: which place lies inside which, from ``facts.places``.

    Returns:
        ``product_id``, ``available`` of products measured before the day; ``product_id``, ``measured_at``, ``change``
        (one row per product and instant, sorted); and the new ``places``.
    """
    changes = total_changes(places, measured, inside)
    start = changes.filter(pl.col("measured_at").is_null()).select("product_id", available="change")
    steps = changes.filter(pl.col("measured_at").is_not_null()).sort("measured_at", "product_id")
    day = measured.sort("measured_at", "external_id").select(list(PLACES))
    newest = pl.concat([places, day]).unique(PLACE, keep="last", maintain_order=True).sort(PLACE)
    return start, steps, newest


def names(signal: Signal) -> list[str]:
    """Level names from the worst to the normal one; the code of a level is its place."""
    return [level.state for level in signal.levels] + [signal.normal or "normal"]


def levels(available: Ints, rate: Sales, index: Ints, signal: Signal, percent: int = 100) -> Ints:
    """Level codes of products by quantity and runway.

    Args:
        available: thousandths.
        rate: sales of all products.
        index: which products ``available`` is of.
        signal: the definition.
        percent: bounds are multiplied by it; 100 is the plain bound.
    """
    units, days, sold = rate.units[index], rate.days[index], rate.sold[index]
    found = np.full(len(index), len(signal.levels), dtype=np.int64)
    for code in reversed(range(len(signal.levels))):
        level = signal.levels[code]
        holds = np.zeros(len(index), dtype=np.bool_)
        if level.quantity is not None:
            bound = 0 if level.quantity == 0 else signal.param(str(level.quantity))
            holds |= available * 100 <= bound * percent
        if level.runway is not None:
            runs_out = (units > 0) & (available * days * 100 <= signal.param(level.runway) * percent * units)
            holds |= runs_out & (sold > 0) if level.sold_days else runs_out
        found = np.where(holds, code, found)
    return found


def move(products: Products, rate: Sales, signal: Signal, index: Ints, restocked: Flags) -> pl.DataFrame:
    """Move the levels of some products, each at most once.

    Args:
        products: ``available`` and ``scarcity`` are read, ``scarcity`` is changed.
        rate: sales rates.
        signal: the definition.
        index: products, each once.
        restocked: their stock rose from zero at this instant.

    Returns:
        ``index``, ``from_code`` (``UNMEASURED`` the first time), ``to_code``; only changes, never a first normal one.
    """
    state, available = products["scarcity"], products["available"][index]
    current = state[index]
    plain = levels(available, rate, index, signal)
    eased = levels(available, rate, index, signal, signal.param(signal.improve or "improve"))
    better = np.where(restocked | (current == UNMEASURED), plain, np.maximum(np.minimum(eased, plain), current))
    target = np.where((plain <= current) & (current != UNMEASURED), plain, better)
    state[index] = target
    normal = len(signal.levels)
    moved = np.flatnonzero(np.where(current == UNMEASURED, normal, current) != target)
    return pl.DataFrame({"index": index[moved], "from_code": current[moved], "to_code": target[moved]})


def rounds(steps: pl.DataFrame) -> list[pl.DataFrame]:
    """Split steps so that each part has a product at most once, in the order of instants."""
    if steps.is_empty():
        return []
    turn = steps.with_columns(pl.int_range(pl.len()).over("product_id", order_by="measured_at").alias("turn"))
    return turn.sort("turn", "product_id").partition_by("turn", maintain_order=True)
