"""Values and states of every product at an instant, and the rows of ``signal_snapshots`` that they make.

A reading holds arrays by product and a last division is left to the row. What the numbers are is in ``measures``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from pipelines.signals.arrays import Flags, Ints, Products
from pipelines.storage.encode import coded
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


@dataclass(frozen=True)
class Told:
    """Readings of the products or of the slots at the end of a day, and those at the end of the day before."""

    table: Products
    now: Sequence[Reading]
    before: Sequence[Reading]


def snapshot(products: Products, tables: Sequence[Told]) -> pl.DataFrame:
    """Rows of ``signal_snapshots`` without the date, sorted by signal, subject and place; texts are ``Enum``.

    Args:
        products: every product that a row is about.
        tables: products themselves and slots; a signal is told of one of them.
    """
    words = _words([reading for each in tables for reading in (*each.now, *each.before)])
    told = [(each, reading) for each in tables for reading in each.now if len(reading.index)]
    told.sort(key=lambda piece: piece[1].signal_id)
    if not told:
        schema = LAKE["signal_snapshots"].schema
        return pl.DataFrame(schema={name: kind for name, kind in schema.items() if name != "date"})
    rank = np.empty(products.height, dtype=np.int64)
    rank[products.order] = np.arange(products.height)
    places = next((each.table.places[0] for each in tables if each.table is not products), pl.Series(dtype=pl.String))
    rows = [_rows(each, reading, products, rank, words) for each, reading in told]
    columns = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    lengths = np.array([len(reading.index) for _, reading in told])
    states = pl.Series(list(words), dtype=pl.String)
    texts = {
        "signal_id": _repeated([reading.signal_id for _, reading in told], lengths),
        "subject_type": _repeated(["product"], lengths.sum(keepdims=True)),
        "subject": coded(columns["subject"], products.ids.gather(products.order)),
        "state": coded(columns["state"], states),
        "state_prev": coded(columns["state_prev"], states),
        "inputs_hash": _hexadecimal(columns["hash"]),
        "definition_version": _repeated([reading.version for _, reading in told], lengths),
        "place": coded(columns["place"], places),
    }
    values = {name: pl.Series(columns[name]).fill_nan(None) for name in ("value", "value_prev")}
    found = {**texts, **values}
    return pl.DataFrame({name: found[name] for name in LAKE["signal_snapshots"].names if name != "date"})


def _words(readings: Sequence[Reading]) -> dict[str, int]:
    """Every name of a state, sorted, with its place."""
    names = {name for reading in readings if reading.codes is not None for name in (reading.names or {}).values()}
    return {name: place for place, name in enumerate(sorted(names))}


def _rows(
    each: Told, reading: Reading, products: Products, rank: Ints, words: Mapping[str, int]
) -> dict[str, npt.NDArray[np.generic]]:
    index, table = reading.index, each.table
    if table is products:
        subject, place = rank[index], np.full(len(index), -1, dtype=np.int64)
    else:
        subject, place = rank[table.owners(products)[index]], table.places[1][index]
    value_prev, state_prev = _earlier(reading, each, words)
    return {
        "subject": subject,
        "place": place,
        "value": _divided(reading.top, reading.bottom),
        "state": _states(reading, words),
        "value_prev": value_prev,
        "state_prev": state_prev,
        "hash": _inputs_hash(reading, table.keys.view(np.uint64)),
    }


def _divided(top: Ints, bottom: Ints) -> npt.NDArray[np.float64]:
    """One division of two integers, NaN where there is no value."""
    found = np.full(len(top), np.nan)
    np.divide(top, bottom, out=found, where=bottom != 0)
    return found


def _states(reading: Reading, words: Mapping[str, int]) -> Ints:
    """Places of state names, -1 for none."""
    if reading.codes is None or not len(reading.codes):
        return np.full(len(reading.index), -1, dtype=np.int64)
    names = reading.names or {}
    low, high = int(reading.codes.min()), int(reading.codes.max())
    known = [words[names[code]] if code in names else -1 for code in range(low, high + 1)]
    return np.array(known, dtype=np.int64)[reading.codes - low]


def _earlier(now: Reading, each: Told, words: Mapping[str, int]) -> tuple[npt.NDArray[np.float64], Ints]:
    """Values and places of the states of the day before."""
    before = next((reading for reading in each.before if reading.signal_id == now.signal_id), None)
    if before is None or not len(before.index):
        return np.full(len(now.index), np.nan), np.full(len(now.index), -1, dtype=np.int64)
    value, state = np.full(each.table.height, np.nan), np.full(each.table.height, -1, dtype=np.int64)
    value[before.index], state[before.index] = _divided(before.top, before.bottom), _states(before, words)
    return value[now.index], state[now.index]


def _repeated(texts: Sequence[str], lengths: Ints) -> pl.Series:
    alphabet = sorted(set(texts))
    return coded(np.repeat([alphabet.index(text) for text in texts], lengths), pl.Series(alphabet, dtype=pl.String))


def _hexadecimal(numbers: Ints) -> pl.Series:
    """Sixteen digits of each number."""
    digits = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    pairs = np.stack([np.repeat(digits, 16), np.tile(digits, 16)], axis=1).reshape(-1).view(np.uint16)
    text = pairs[numbers.astype(">i8").view(np.uint8)]
    ends = np.arange(0, 16 * len(numbers) + 1, 16, dtype=np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(text)]
    return pl.Series(pa.Array.from_buffers(pa.large_string(), len(numbers), buffers))


def _inputs_hash(reading: Reading, keys: npt.NDArray[np.uint64]) -> Ints:
    name = np.uint64(int.from_bytes(hashlib.sha256(reading.signal_id.encode()).digest()[:8], "little"))
    mixed = keys[reading.index]
    with np.errstate(over="ignore"):
        for part in (name, reading.top.view(np.uint64), reading.bottom.view(np.uint64)):
            mixed = _mix(mixed + _GOLDEN ^ part)
    return mixed.view(np.int64)


def _mix(values: np.ndarray) -> np.ndarray:
    values = (values ^ (values >> np.uint64(30))) * _M1
    values = (values ^ (values >> np.uint64(27))) * _M2
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
