"""What became of a batch's rows, day by day: the counts of a receipt, divided by the tenant day of the row.

Counted once, when the batch lands, and kept in its receipt. A row without a day (its entity has none, or the refused
row said none that could be read) counts under null. The ledgers made of this are in the entities stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from datetime import date
from typing import Any

Days = Mapping[date | None, int]


@dataclass(frozen=True)
class Partition:
    """The rows of one batch on one tenant day.

    Attributes:
        date: the day, or None.
        accepted: stored, and the newest version of its id that was known.
        duplicate: dropped, since another row says exactly the same.
        superseded: stored, although a newer version of the id was known.
        quarantined: refused.
    """

    date: date | None
    accepted: int
    duplicate: int
    superseded: int
    quarantined: int

    @property
    def received(self) -> int:
        """All of them."""
        return self.accepted + self.duplicate + self.superseded + self.quarantined


def partitions(landed: Days, duplicate: Days, superseded: Days, quarantined: Days) -> tuple[Partition, ...]:
    """One entry a day, null first, then in order.

    Args:
        landed: stored rows, superseded ones included.
        duplicate: dropped rows.
        superseded: those of the stored rows.
        quarantined: refused rows.
    """
    days = sorted({*landed, *duplicate, *quarantined}, key=lambda day: (day is not None, day or date.min))
    return tuple(
        Partition(
            day,
            landed.get(day, 0) - superseded.get(day, 0),
            duplicate.get(day, 0),
            superseded.get(day, 0),
            quarantined.get(day, 0),
        )
        for day in days
    )


def to_rows(found: Iterable[Partition]) -> list[list[Any]]:
    """The form that a receipt keeps: date, accepted, duplicate, superseded, quarantined."""
    return [list(astuple(partition)) for partition in found]


def from_rows(rows: Iterable[list[Any]]) -> tuple[Partition, ...]:
    """Partitions of a receipt."""
    return tuple(Partition(date.fromisoformat(day) if day else None, *counts) for day, *counts in rows)
