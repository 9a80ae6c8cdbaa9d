"""Values and states of every product at an instant, and the rows of ``signal_snapshots`` that they make.

A reading holds arrays by product and a last division is left to the row. What the numbers are is in ``measures``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from pipelines.signals.arrays import Flags, Ints, Products
from pipelines.signals.crossings import SEPARATOR, split_place
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


def snapshot(tables: Sequence[tuple[Products, Sequence[Reading], Sequence[Reading]]]) -> pl.DataFrame:
    """Rows of ``signal_snapshots`` without the date, sorted by signal, subject and place.

    Args:
        tables: products or slots, their readings at the end of the day, and those at the end of the day before.
    """
    schema = {name: kind for name, kind in LAKE["signal_snapshots"].schema.items() if name != "date"}
    pieces = [piece for table in tables for piece in _pieces(*table)]
    ordered = [frame for _, frame in sorted(pieces, key=lambda piece: piece[0])]
    return pl.concat([pl.DataFrame(schema=schema), *ordered])


def _pieces(
    products: Products, now: Sequence[Reading], before: Sequence[Reading]
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Rows of each signal that says something; slices of one frame cost nothing."""
    told = [reading for reading in now if len(reading.index)]
    frame, start = _rows(products, told, before), 0
    for each in told:
        yield each.signal_id, frame.slice(start, len(each.index))
        start += len(each.index)


def _rows(products: Products, told: Sequence[Reading], before: Sequence[Reading]) -> pl.DataFrame:
    earlier = {reading.signal_id: reading for reading in before}
    keys = products.keys.view(np.uint64)
    words = _Words()
    none = [np.zeros(0, dtype=np.int64)]
    place = np.full(products.height, -1, dtype=np.int64)
    columns: dict[str, list[Ints]] = {name: list(none) for name in _COLUMNS}
    for each in told:
        was = _earlier(each, earlier.get(each.signal_id), place, words)
        signal, version = (np.full(len(each.index), words.number(text)) for text in (each.signal_id, each.version))
        values = (each.index, signal, version, each.top, each.bottom, _states(each, words), *was)
        for name, column in zip(_COLUMNS, (*values, _inputs_hash(each, keys)), strict=True):
            columns[name].append(column)
    return _named(products, {name: np.concatenate(parts) for name, parts in columns.items()}, words)


_COLUMNS = ("index", "signal", "version", "top", "bottom", "state", "top_prev", "bottom_prev", "state_prev", "hash")


@dataclass
class _Words:
    """Texts by number, so that arrays can hold them."""

    texts: dict[str, int] = field(default_factory=dict)

    def number(self, text: str) -> int:
        return self.texts.setdefault(text, len(self.texts))


def _states(reading: Reading, words: _Words) -> Ints:
    """Numbers of state names, -1 for none."""
    if reading.codes is None or not len(reading.codes):
        return np.full(len(reading.index), -1, dtype=np.int64)
    names = reading.names or {}
    low, high = int(reading.codes.min()), int(reading.codes.max())
    known = [words.number(names[code]) if code in names else -1 for code in range(low, high + 1)]
    return np.array(known, dtype=np.int64)[reading.codes - low]


def _earlier(now: Reading, before: Reading | None, place: Ints, words: _Words) -> tuple[Ints, Ints, Ints]:
    """Numerators, denominators and numbers of the states of the day before.

    ``place`` is scratch space by product, all -1, and left so.
    """
    if before is None or not len(before.index):
        none = np.zeros(len(now.index), dtype=np.int64)
        return none, none, none - 1
    place[before.index] = np.arange(len(before.index))
    back = place[now.index]
    place[before.index] = -1
    there = back >= 0
    state = np.where(there, _states(before, words)[back], -1)
    return np.where(there, before.top[back], 0), np.where(there, before.bottom[back], 0), state


def _named(products: Products, columns: Mapping[str, Ints], words: _Words) -> pl.DataFrame:
    texts = pl.Series("texts", list(words.texts), dtype=pl.String)
    unsigned = columns["hash"].view(np.uint64)
    frame = pl.DataFrame({**columns, "hash": unsigned})

    def text(name: str) -> pl.Series:
        return texts.gather(frame[name].replace(-1, None).cast(pl.UInt32)) if len(texts) else texts

    def value(top: str, bottom: str) -> pl.Expr:
        return pl.when(pl.col(bottom) != 0).then(pl.col(top) / pl.col(bottom))

    found = frame.select(
        text("signal").alias("signal_id"),
        pl.lit("product").alias("subject_type"),
        products.ids.gather(frame["index"]).alias("subject"),
        value("top", "bottom").alias("value"),
        text("state").alias("state"),
        value("top_prev", "bottom_prev").alias("value_prev"),
        text("state_prev").alias("state_prev"),
        pl.col("hash").cast(pl.String).alias("inputs_hash"),
        text("version").alias("definition_version"),
    )
    has_places = products.height > 0 and SEPARATOR in products.ids[0]
    named = split_place(found) if has_places else found.with_columns(pl.lit(None, dtype=pl.String).alias("place"))
    return named.select(name for name in LAKE["signal_snapshots"].names if name != "date")


def _inputs_hash(reading: Reading, keys: np.ndarray) -> Ints:
    name = np.uint64(int.from_bytes(hashlib.sha256(reading.signal_id.encode()).digest()[:8], "little"))
    mixed = keys[reading.index].copy()
    with np.errstate(over="ignore"):
        for part in (name, reading.top.view(np.uint64), reading.bottom.view(np.uint64)):
            mixed = _mix(mixed + _GOLDEN ^ part)
    return mixed.view(np.int64)


def _mix(values: np.ndarray) -> np.ndarray:
    values = (values ^ (values >> np.uint64(30))) * _M1
    values = (values ^ (values >> np.uint64(27))) * _M2
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
