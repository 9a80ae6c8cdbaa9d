"""Values of signals at the end of a day as arrays by subject, and the rows of the tables that they make."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from pipelines.cohorts.daily.space import Flags, Ints, Names
from schemas.registry import LAKE

TABLE = "visitor_signal_snapshots"
#: Mixing constants of splitmix64.
_GOLDEN, _M1, _M2 = (np.uint64(each) for each in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
#: Code of no state.
STATELESS = -1


@dataclass(frozen=True)
class Reading:
    """One signal at the end of a day.

    Attributes:
        signal_id: which.
        version: of its definition.
        kind: visitor or customer.
        key: what tells its rows apart, each once, rising: the number of the subject, or of it and the item.
        owner: number of the subject.
        top: numerators.
        under: denominators; 0 stands for no value.
        code: states; ``STATELESS`` for none.
        names: of the codes.
        item: what it is about beside the subject.
        order: places of the items by name, where a subject has several.
        instant: microseconds, for signals that say one.
    """

    signal_id: str
    version: str
    kind: str
    key: Ints
    owner: Ints
    top: Ints
    under: Ints
    code: Ints
    names: Mapping[int, str] = field(default_factory=dict)
    item: pl.Series | None = None
    order: Ints | None = None
    instant: Ints | None = None


def reading(
    signal_id: str,
    version: str,
    kind: str,
    where: Flags,
    top: Ints,
    under: Ints | int,
    code: Ints | None = None,
    names: Mapping[int, str] | None = None,
) -> Reading:
    """A reading of the subjects for which ``where`` holds; arrays are by number of the subject."""
    owner = np.flatnonzero(where)
    below = np.full(len(owner), under, dtype=np.int64) if isinstance(under, int) else under[owner]
    codes = np.full(len(owner), STATELESS, dtype=np.int64) if code is None else code[owner]
    return Reading(signal_id, version, kind, owner, owner, top[owner], below, codes, names or {})


def snapshot(now: Iterable[Reading], before: Sequence[Reading], subjects: Mapping[str, Names]) -> pl.DataFrame:
    """Rows of ``visitor_signal_snapshots`` without the date, sorted by signal and subject.

    Args:
        now: at the end of the day.
        before: at the end of the day before.
        subjects: by kind.
    """
    schema = {name: kind for name, kind in LAKE[TABLE].schema.items() if name != "date"}
    earlier = {each.signal_id: each for each in before}
    told = sorted((each for each in now if len(each.key)), key=lambda each: each.signal_id)
    ranks = {kind: _ranks(subjects[kind]) for kind in {each.kind for each in told}}
    rows = [_rows(each, earlier.get(each.signal_id), subjects[each.kind], ranks[each.kind]) for each in told]
    return pl.concat([pl.DataFrame(schema=schema), *(frame.select(list(schema)) for frame in rows)])


def _ranks(names: Names) -> Ints:
    ranks = np.empty(names.height, dtype=np.int64)
    ranks[names.ids.arg_sort().to_numpy()] = np.arange(names.height)
    return ranks


def _rows(now: Reading, before: Reading | None, names: Names, ranks: Ints) -> pl.DataFrame:
    top_prev, under_prev, state_prev = _earlier(now, before)
    item = now.item if now.item is not None else pl.repeat(None, len(now.key), dtype=pl.String, eager=True)
    frame = pl.DataFrame(
        {
            "item": item,
            "value": _ratio(now.top, now.under),
            "state": _named(now.code, now.names),
            "value_prev": _ratio(top_prev, under_prev),
            "state_prev": state_prev,
            "inputs_hash": _hashes(now, names),
        }
    )
    rank = ranks[now.owner]
    order = np.argsort(rank) if now.order is None else np.lexsort((now.order, rank))
    return frame[order].with_columns(
        names.ids.gather(now.owner[order]).alias("subject"),
        pl.lit(now.signal_id).alias("signal_id"),
        pl.lit(now.kind).alias("subject_type"),
        pl.lit(now.version).alias("definition_version"),
        _instants(now)[order].alias("instant"),
    )


def _instants(now: Reading) -> pl.Series:
    kind = pl.Datetime("us", "UTC")
    if now.instant is None:
        return pl.repeat(None, len(now.key), dtype=kind, eager=True)
    return pl.Series(now.instant).cast(kind)


def _earlier(now: Reading, before: Reading | None) -> tuple[Ints, Ints, pl.Series]:
    none = np.zeros(len(now.key), dtype=np.int64)
    if before is None or not len(before.key):
        return none, none, pl.repeat(None, len(now.key), dtype=pl.String, eager=True)
    place = np.minimum(np.searchsorted(before.key, now.key), len(before.key) - 1)
    there = before.key[place] == now.key
    code = np.where(there, before.code[place], STATELESS)
    return np.where(there, before.top[place], 0), np.where(there, before.under[place], 0), _named(code, before.names)


def _ratio(top: Ints, under: Ints) -> pl.Series:
    frame = pl.DataFrame({"top": top, "under": under})
    return frame.select(pl.when(pl.col("under") != 0).then(pl.col("top") / pl.col("under"))).to_series()


def _named(code: Ints, names: Mapping[int, str]) -> pl.Series:
    if not names or not len(code):
        return pl.repeat(None, len(code), dtype=pl.String, eager=True)
    return pl.Series(code).replace_strict(dict(names), default=None, return_dtype=pl.String)


def _hashes(now: Reading, names: Names) -> pl.Series:
    name = np.uint64(int.from_bytes(hashlib.sha256(now.signal_id.encode()).digest()[:8], "little"))
    mixed = names.codes[now.owner].view(np.uint64)
    with np.errstate(over="ignore"):
        for part in (name, now.top.view(np.uint64), now.under.view(np.uint64)):
            mixed = _mix(mixed + _GOLDEN ^ part)
    return pl.Series(mixed).cast(pl.String)


def _mix(values: np.ndarray) -> np.ndarray:
    values = (values ^ (values >> np.uint64(30))) * _M1
    values = (values ^ (values >> np.uint64(27))) * _M2
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed


STORED = {
    "signal_id": pl.String,
    "kind": pl.String,
    "subject": pl.String,
    "item": pl.String,
    "top": pl.Int64,
    "under": pl.Int64,
    "code": pl.Int64,
}


def stored(readings: Iterable[Reading], subjects: Mapping[str, Names]) -> pl.DataFrame:
    """Readings as a frame (``STORED``), in no order: what the next day calls the values of the day before."""
    frames = [
        pl.DataFrame(
            {
                "subject": subjects[each.kind].ids.gather(each.owner),
                "item": each.item if each.item is not None else pl.Series([None] * len(each.key), dtype=pl.String),
                "top": each.top,
                "under": each.under,
                "code": each.code,
            }
        ).select(
            pl.lit(each.signal_id).alias("signal_id"),
            pl.lit(each.kind).alias("kind"),
            "subject",
            "item",
            "top",
            "under",
            "code",
        )
        for each in readings
        if len(each.key)
    ]
    return pl.concat([pl.DataFrame(schema=STORED), *frames])
