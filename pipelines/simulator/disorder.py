"""How a feed goes wrong: rows out of order, sent twice, sent late, split into batches, and lines that are broken.

Disorder never takes a good row away: every row is in some batch at least once, and a broken line stands beside the row
that it was made from. So the true answers hold whatever the disorder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

import numpy as np
import polars as pl

from pipelines.errors import UsageError
from pipelines.simulator.settings import Ints

#: Entities that others refer to and that may come late.
LATE = ("customers", "products", "outlets")
BREAKS = ("truncated_line", "missing_id", "bad_timestamp", "unknown_major_version", "wrong_type")
_STRING = r'"(?:[^"\\]|\\.)*"'


@dataclass(frozen=True)
class Disorder:
    """What to do to the files.

    Attributes:
        shuffle: rows in any order, instead of in order of time.
        duplicate: share of rows that are sent once more, in the same batch or a later one.
        delay: share of rows that are sent in a later batch than their neighbours, at the end where there is one batch.
        corrupt: share of rows that get a broken copy.
        batches: files for each entity.
        late: share of the customers, products and outlets that come after everything that names them.
    """

    shuffle: bool = False
    duplicate: float = 0.0
    delay: float = 0.0
    corrupt: float = 0.0
    batches: int = 1
    late: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "float" and not 0.0 <= value <= 1.0:
                raise UsageError(f"{field.name} is {value}; give a share from 0 to 1")
        if self.batches < 1:
            raise UsageError(f"batches is {self.batches}; give 1 or more")


@dataclass(frozen=True)
class Layout:
    """Where rows go: for each batch, row numbers in order; broken ones are negative: -1 - row number."""

    batches: list[Ints]
    duplicated: int
    corrupted: int


def late_rows(rng: np.random.Generator, ids: pl.Series, share: float) -> pl.Series:
    """Which rows come late: all versions of a share of the ids, of one at least where the share is not 0."""
    known = ids.unique().sort()
    count = min(len(known), max(1, round(share * len(known)))) if share else 0
    chosen = known.gather(rng.choice(len(known), count, replace=False))
    return ids.is_in(chosen.implode())


def layout(rng: np.random.Generator, rows: int, disorder: Disorder) -> Layout:
    """Draw the layout of one entity's rows."""
    order = rng.permutation(rows) if disorder.shuffle else np.arange(rows)
    position = np.arange(rows, dtype=np.int64)
    batch = position * disorder.batches // max(rows, 1)
    late = rng.random(rows) < disorder.delay
    batch = np.where(late, _later(rng, batch, disorder.batches), batch)
    twice = np.flatnonzero(rng.random(rows) < disorder.duplicate)
    broken = np.flatnonzero(rng.random(rows) < disorder.corrupt)
    again = np.minimum(
        _later(rng, batch[twice], disorder.batches) - rng.integers(0, 2, len(twice)), disorder.batches - 1
    )
    again = np.maximum(again, batch[twice])
    number = np.concatenate([order, order[twice], -1 - order[broken]])
    where = np.concatenate([batch, again, batch[broken]])
    # Copies stand anywhere in their batch behind the place of the row, late rows at its end.
    place = np.concatenate([position + late * rows, twice + rng.random(len(twice)) * rows, broken + 0.5])
    arranged = np.lexsort((place, where))
    cuts = np.searchsorted(where[arranged], np.arange(1, disorder.batches))
    return Layout(np.split(number[arranged], cuts), len(twice), len(broken))


def _later(rng: np.random.Generator, batch: Ints, batches: int) -> Ints:
    """A batch after the given one, the last where there is none."""
    moved = batch + 1 + (rng.random(len(batch)) * (batches - 1 - batch)).astype(np.int64)
    return np.minimum(moved, batches - 1)


def break_line(line: str, kind: int, id_field: str, time_field: str) -> str:
    """A broken copy of an NDJSON line; a kind that does not apply to it becomes a truncated line."""
    name = BREAKS[kind % len(BREAKS)]
    broken = line
    if name == "missing_id":
        broken = re.sub(rf'"{id_field}":{_STRING},?', "", line, count=1)
    elif name == "bad_timestamp":
        broken = re.sub(
            rf'"{time_field}":(?:{_STRING}|-?[0-9]+)', f'"{time_field}":"2025-13-45T25:61:00Z"', line, count=1
        )
    elif name == "unknown_major_version":
        broken = '{"schema_version":"9.0",' + line[1:]
    elif name == "wrong_type":
        broken = re.sub(rf'"{id_field}":{_STRING}', f'"{id_field}":{{"is":["not","text"]}}', line, count=1)
    return line[: len(line) * 2 // 3] if broken == line else broken
