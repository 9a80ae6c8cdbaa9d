"""Scarcity levels: stock stepped at the instants it was measured, runway from the sales of complete days, hysteresis.

A slot is a product at a place, or over all places. Quantities are thousandths. A runway of r days is at most b exactly
when available x in-stock days <= b x net units.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.signals.arrays import Flags, Ints, Products
from pipelines.signals.catalogue import Runway, Scarcity, Signal
from pipelines.signals.machine import Moves
from pipelines.signals.readings import Reading, shown

SALES_DAYS = 14
UNMEASURED = -1
#: Columns of the slots; bit n of ``in_stock`` says that there was some n + 1 days before the newest complete day's end.
DEFAULTS = {"available": 0, "scarcity": UNMEASURED, "in_stock": 0}
_MASK = (1 << SALES_DAYS) - 1


@dataclass(frozen=True)
class Sales:
    """Sales by slot over complete days: net units on in-stock days, how many those are, days with a sale lately."""

    units: Ints
    days: Ints
    sold: Ints


def sales(slots: Products, history: Sequence[tuple[int, pl.DataFrame]], sold_days: int, in_stock: Ints) -> Sales:
    """Sales rates.

    Args:
        slots: gives the index.
        history: of the 14 days, each with its age (1 for the newest): ``slot``, each once, ``units`` net,
            ``purchases``; slots that are not known are left out.
        sold_days: days in which a sale must lie.
        in_stock: days with stock by slot, bit 0 for the newest.
    """
    mask, total, sold = (np.zeros(slots.height, dtype=np.int64) for _ in range(3))
    mask[: len(in_stock)] = in_stock
    for age, rows in history:
        place = slots.known(rows["slot"])
        here = place >= 0
        index = place[here]
        counts = (mask[index] >> (age - 1)) & 1 == 1
        total[index[counts]] += rows["units"].to_numpy()[here][counts]
        if age <= sold_days:
            sold[index] += rows["purchases"].to_numpy()[here]
    return Sales(total, np.bitwise_count(mask).astype(np.int64), sold)


def with_day(in_stock: Ints, today: Flags) -> Ints:
    """``in_stock`` one day later."""
    return ((in_stock << 1) | today) & _MASK


def names(signal: Signal) -> list[str]:
    """Level names from the worst to the normal one; the code of a level is its place."""
    return [level.state for level in signal.levels] + [signal.normal or "normal"]


def levels(available: Ints, rate: Sales, index: Ints, signal: Signal, percent: int = 100) -> Ints:
    """Level codes of slots by quantity and runway.

    Args:
        available: thousandths.
        rate: sales of all slots.
        index: which slots ``available`` is of.
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


def move(slots: Products, rate: Sales, signal: Signal, index: Ints, restocked: Flags) -> Moves:
    """Move the levels of some slots, each at most once; only changes, never a first normal one.

    Args:
        slots: ``available`` and ``scarcity`` are read, ``scarcity`` is changed.
        rate: sales rates.
        signal: the definition.
        index: slots, each once.
        restocked: their stock rose from zero at this instant.
    """
    state, available = slots["scarcity"], slots["available"][index]
    current = state[index]
    plain = levels(available, rate, index, signal)
    eased = levels(available, rate, index, signal, signal.param(signal.improve or "improve"))
    better = np.where(restocked | (current == UNMEASURED), plain, np.maximum(np.minimum(eased, plain), current))
    target = np.where((plain <= current) & (current != UNMEASURED), plain, better)
    state[index] = target
    normal = len(signal.levels)
    moved = np.flatnonzero(np.where(current == UNMEASURED, normal, current) != target)
    return Moves(index[moved], current[moved], target[moved], np.zeros(len(moved), dtype=np.int64))


def readings(slots: Products, signals: list[Signal], rate: Sales) -> Iterator[Reading]:
    """Runway and level of every slot that was measured."""
    measured = slots["scarcity"] != UNMEASURED
    available = slots["available"]
    for signal in signals:
        version = signal.definition_version
        if isinstance(signal.measure, Runway):
            top, bottom = available * rate.days, np.maximum(rate.units, 0)
            yield shown(signal.id, version, slots.order, measured, top, bottom)
        elif isinstance(signal.measure, Scarcity):
            states = dict(enumerate(names(signal)))
            yield shown(signal.id, version, slots.order, measured, available, 1000, slots["scarcity"], states)
