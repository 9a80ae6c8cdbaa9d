"""Times between the orders of customers: each one's median, and the median of all in a category.

They are a function of the rows alone, so nothing of them is kept between runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from pipelines.calendar import Day
from pipelines.cohorts.daily.changes import Source
from pipelines.cohorts.daily.space import Ints, Names
from pipelines.cohorts.daily.state import NONE


@dataclass(frozen=True)
class DayGaps:
    """Gaps at the end of a day, by number of the subject.

    Attributes:
        own: median time between the subject's orders, microseconds; ``NONE`` with fewer than two.
        orders: how many count.
        usual: median of all gaps of the customers of the subject's category at the end of the day before.
    """

    own: Ints
    orders: Ints
    usual: Ints


@dataclass
class Gaps:
    """Gaps day by day.

    Attributes:
        stream: whose events are meant.
        categories: ``subject``, ``day`` (ordinal from which on it holds), ``category``; sorted by subject and day.
    """

    stream: str
    categories: pl.DataFrame
    _usual: tuple[int, dict[str, int]] = field(default_factory=lambda: (0, {}))

    def on(self, subjects: Names, source: Source, day: Day) -> DayGaps:
        """Gaps at the end of a day; subjects are those that are numbered already."""
        today = day.date.toordinal()
        own, orders, _ = own_gaps(self.stream, subjects, source, day, today)
        known = self._usual if self._usual[0] == today else (today, self._medians(subjects, source, day, today - 1))
        usual = np.full(subjects.height, NONE, dtype=np.int64)
        for number, category in self._category(subjects, today):
            usual[number] = known[1].get(category, NONE)
        self._usual = (today + 1, self._medians(subjects, source, day, today))
        return DayGaps(own, orders, usual)

    def _medians(self, subjects: Names, source: Source, day: Day, at: int) -> dict[str, int]:
        """Median of all gaps by category at the end of a day."""
        _, _, gaps = own_gaps(self.stream, subjects, source, day, at)
        schema = {"number": pl.Int64, "category": pl.String}
        named = pl.DataFrame(self._category(subjects, at + 1), schema=schema, orient="row")
        return dict(medians(gaps.join(named, on="number"), "category").iter_rows())

    def _category(self, subjects: Names, today: int) -> list[tuple[int, str]]:
        """Number and category of the subjects whose category is known on a day."""
        held = self.categories.filter(pl.col("day") <= today).unique("subject", keep="last", maintain_order=True)
        numbers = subjects.known(held["subject"]).tolist()
        return [pair for pair in zip(numbers, held["category"].to_list(), strict=True) if pair[0] >= 0]


def own_gaps(stream: str, subjects: Names, source: Source, day: Day, at: int) -> tuple[Ints, Ints, pl.DataFrame]:
    """Of the events that count at the end of a day: median gap and number by subject, and all gaps.

    Args:
        stream: whose events are meant.
        subjects: those that are numbered already; others are left out.
        source: rows of the stream.
        day: up to which the rows are known.
        at: ordinal of the day that is asked about, not after it.

    Returns:
        Median in microseconds (``NONE`` with fewer than two events), number of events, and every gap: ``number`` (of
        the subject), ``gap``.
    """
    rows = source.on(stream, set(), set(), day)
    counting = (rows.first() <= at) & (rows.until > at)
    frame = rows.frame.filter(pl.Series(counting)).select("subject", "at")
    number = subjects.known(frame["subject"])
    ordered = pl.DataFrame({"number": number, "at": frame["at"]}).filter(pl.col("number") >= 0).sort("number", "at")
    gaps = ordered.select(
        "number", (pl.col("at") - pl.col("at").shift(1)).alias("gap"), pl.col("number").shift(1).alias("before")
    ).filter(pl.col("number") == pl.col("before"))
    own = np.full(subjects.height, NONE, dtype=np.int64)
    counts = np.bincount(number[number >= 0], minlength=subjects.height).astype(np.int64)
    found = medians(gaps, "number")
    own[found["number"].to_numpy()] = found["median"].to_numpy()
    return own, counts, gaps


def medians(gaps: pl.DataFrame, by: str) -> pl.DataFrame:
    """``by`` and ``median`` of ``gap``: the mean of the middle two rounded down."""
    count = pl.len().cast(pl.Int64)
    ordered = pl.col("gap").sort()
    low, high = ordered.get((count - 1) // 2), ordered.get(count // 2)
    return gaps.group_by(by).agg(((low + high) // 2).alias("median"))
