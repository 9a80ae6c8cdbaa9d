"""State between days: Arrow IPC files named by day and by a fingerprint of everything that led to them.

The fingerprint of D is a hash of that of D-1, the definitions and the input partitions of D, so a file is either
exactly the state that a computation from the first day would reach, or it is not found.
Deleting the folder costs time only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from pipelines.calendar import days_between
from pipelines.storage.durable import replacing
from pipelines.storage.lake import Lake

#: A checkpoint is kept for every day whose ordinal divides by this, besides the last one of a run.
CHECKPOINT_DAYS = 7


@dataclass(frozen=True)
class Chain:
    """Fingerprints of the days from the first day with data on.

    Attributes:
        folder: where state files are.
        first: first day with data; the state before it is empty.
        prints: fingerprint by day, from ``first`` on.
    """

    folder: Path
    first: date | None
    prints: Mapping[date, str]

    def path(self, day: date, part: str) -> Path:
        """File of one part of the state at the end of a day."""
        return self.folder / f"{day.isoformat()}-{self.prints[day]}.{part}.arrow"

    def has(self, day: date, parts: Sequence[str]) -> bool:
        """Whether all parts of a day are there."""
        return day in self.prints and all(self.path(day, part).is_file() for part in parts)

    def load(self, day: date, part: str) -> pl.DataFrame:
        """One part of the state at the end of a day."""
        return pl.read_ipc(self.path(day, part))

    def save(self, day: date, part: str, frame: pl.DataFrame) -> None:
        """Keep one part; a file that is there already has the same content by its name."""
        if day not in self.prints or self.path(day, part).is_file():
            return
        with replacing(self.path(day, part), sync=False) as temporary:
            frame.write_ipc(temporary)

    def resume(self, before: date, usable: Callable[[date], bool]) -> date | None:
        """Newest day before ``before`` whose state is usable; None to begin with the empty state."""
        for day in sorted((day for day in self.prints if day < before), reverse=True):
            if usable(day):
                return day
        return None

    def plan(self, days: Sequence[date], resumed: date | None) -> list[date]:
        """Days to compute, in order: those that lead to the first of ``days``, and every day from it to the last."""
        if self.first is None:
            start = min(days)
        elif resumed is not None:
            start = resumed + timedelta(days=1)
        else:
            start = min(self.first, *days)
        return days_between(start, max(days))


def is_checkpoint(day: date, last: date) -> bool:
    """Whether the state at the end of the day is worth a file."""
    return day == last or day.toordinal() % CHECKPOINT_DAYS == 0


def chain(
    folder: Path,
    lake: Lake,
    tables: Sequence[str],
    versions: Mapping[str, str],
    last: date,
    extra: Callable[[date], str] = lambda day: "",
) -> Chain:
    """Fingerprints up to ``last``.

    Args:
        folder: where the state files are.
        lake: the tenant's lake.
        tables: input tables whose partition of a day changes the state of that day.
        versions: definition version by id.
        last: last day of interest.
        extra: anything else that the state of a day depends on.
    """
    files = [lake.files(table) for table in tables]
    filled = {day for table in tables for day, rows in lake.rows(table).items() if day is not None and rows}
    first = min((day for day in filled if day <= last), default=None)
    if first is None:
        return Chain(folder, None, {})
    seed = "\x1f".join(f"{key}={versions[key]}" for key in sorted(versions))
    current = hashlib.sha256(seed.encode()).hexdigest()
    prints: dict[date, str] = {}
    for day in days_between(first, last):
        inputs = [current, day.isoformat(), *[names.get(day, "-") for names in files], extra(day)]
        current = hashlib.sha256("\x1f".join(inputs).encode()).hexdigest()
        prints[day] = current[:32]
    return Chain(folder, first, prints)
