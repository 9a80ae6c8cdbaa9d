"""Values and states of every product at an instant, and the rows of ``signal_snapshots`` that they make.

A reading holds arrays by product and a last division is left to the row. What the numbers are is in ``measures``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.signals.arrays import Flags, Ints, Products
from pipelines.signals.crossings import split_place
from schemas.registry import LAKE

#: Mixing constants of splitmix64.
_GOLDEN, _M1, _M2 = (np.uint64(each) for each in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


@dataclass(frozen=True)
class Reading:
    """One signal at one instant.

    Attributes:
        signal_id: which.
        version: of its definition.
        index: products that it says something about, in the order of their ids.
        top: numerators.
        bottom: denominators; 0 stands for no value.
        codes: states, for signals that have one.
        names: of the codes; a code without a name is no state.
    """

    signal_id: str
    version: str
    index: Ints
    top: Ints
    bottom: Ints
    codes: Ints | None = None
    names: Mapping[int, str] | None = None


def shown(
    signal_id: str,
    version: str,
    order: Ints,
    where: Flags,
    top: Ints,
    bottom: Ints | int,
    codes: Ints | None = None,
    names: Mapping[int, str] | None = None,
) -> Reading:
    """A reading of the products for which ``where`` holds; arrays are by product, ``order`` sorts them by id."""
    index = order[where[order]]
    below = np.full(len(index), bottom, dtype=np.int64) if isinstance(bottom, int) else bottom[index]
    return Reading(signal_id, version, index, top[index], below, None if codes is None else codes[index], names)


def rows(products: Products, now: Sequence[Reading], before: Sequence[Reading]) -> list[pl.DataFrame]:
    """Rows of ``signal_snapshots`` without the date, a frame for each signal that says something, sorted by subject.

    Args:
        products: whose ids and keys; products, or slots.
        now: at the end of the day.
        before: at the end of the day before.
    """
    earlier = {reading.signal_id: reading for reading in before}
    keys = products.keys.view(np.uint64)
    return [_rows(products, keys, each, earlier.get(each.signal_id)) for each in now if len(each.index)]


def together(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Frames of single signals as one, sorted by signal."""
    schema = {name: kind for name, kind in LAKE["signal_snapshots"].schema.items() if name != "date"}
    ordered = sorted(frames, key=lambda frame: str(frame["signal_id"][0]))
    return pl.concat([pl.DataFrame(schema=schema), *[frame.select(list(schema)) for frame in ordered]])


def _rows(products: Products, keys: np.ndarray, now: Reading, before: Reading | None) -> pl.DataFrame:
    place = np.full(products.height, -1, dtype=np.int64)
    if before is not None:
        place[before.index] = np.arange(len(before.index))
    back = pl.Series("back", place[now.index])
    prev = _values(before) if before is not None else _values(now).clear()
    was = prev.select(pl.all().gather(back.replace(-1, None).cast(pl.UInt32)))
    found = _values(now).select(
        pl.lit(now.signal_id).alias("signal_id"),
        pl.lit("product").alias("subject_type"),
        products.ids.gather(now.index).alias("subject"),
        "value",
        "state",
        was["value"].alias("value_prev"),
        was["state"].alias("state_prev"),
        _inputs_hash(now, keys).alias("inputs_hash"),
        pl.lit(now.version).alias("definition_version"),
    )
    return split_place(found)


def _values(reading: Reading) -> pl.DataFrame:
    codes = reading.codes
    if codes is None:
        state = pl.repeat(None, len(reading.index), dtype=pl.String, eager=True)
    else:
        state = pl.Series(codes).replace_strict(dict(reading.names or {}), default=None, return_dtype=pl.String)
    frame = pl.DataFrame({"top": reading.top, "bottom": reading.bottom})
    value = pl.when(pl.col("bottom") != 0).then(pl.col("top") / pl.col("bottom"))
    return frame.select(value.alias("value"), state.alias("state"))


def _inputs_hash(reading: Reading, keys: np.ndarray) -> pl.Series:
    name = np.frombuffer(reading.signal_id.encode().ljust(64, b"\0")[:64], dtype="<u8")
    mixed = keys[reading.index].copy()
    with np.errstate(over="ignore"):
        for part in (*name, reading.top.view(np.uint64), reading.bottom.view(np.uint64)):
            mixed = _mix(mixed + _GOLDEN ^ part)
    return pl.Series(mixed).cast(pl.String)


def _mix(values: np.ndarray) -> np.ndarray:
    values = (values ^ (values >> np.uint64(30))) * _M1
    values = (values ^ (values >> np.uint64(27))) * _M2
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
