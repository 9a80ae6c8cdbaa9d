"""What a simulation is asked for, and the small tools every part shares: random streams, wall clocks, gathers.

Nothing here knows about retail. Instants are int64 microseconds since the epoch in UTC until a frame is made.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.calendar import day_of
from pipelines.errors import UsageError

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]

MILLISECOND = 1_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EPOCH = date(1970, 1, 1)

#: Long enough for every order cohort to have members on the first day.
HISTORY_DAYS = 400


@dataclass(frozen=True)
class SimulationConfig:
    """What to simulate.

    Attributes:
        zone: the tenant's zone; its calendar days are the days simulated.
        first: first day with activity.
        last: last day with activity, included.
        visitors: browser-scope visitors with at least one session planned.
        seed: the same seed and settings give the same rows.
        currency: ISO 4217 code of the web shop and the domestic stores.
        products: number of SKUs; follows the visitors where not given.
        customers: number of customers; half the visitors where not given.
        history_days: how far orders reach back before the first day, so that order cohorts have members from the start.
        merged: share of the customers who turn out to be another one, some of them until that is taken back.
    """

    zone: ZoneInfo
    first: date
    last: date
    visitors: int
    seed: int = 1
    currency: str = "GBP"
    products: int | None = None
    customers: int | None = None
    history_days: int = HISTORY_DAYS
    merged: float = 0.0

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise UsageError(f"the last day {self.last} is before the first day {self.first}; swap --from and --to")
        if self.history_days < 0:
            raise UsageError(f"the history is {self.history_days} days; give 0 or more")
        if self.seed < 0:
            raise UsageError(f"the seed is {self.seed}; give 0 or more")
        for name, least in (("visitors", 1), ("products", 8), ("customers", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name} is {value}; give at least {least}")

    @cached_property
    def start(self) -> int:
        """First instant of the first day."""
        return int(day_of(self.first, self.zone).start.timestamp()) * SECOND

    @cached_property
    def end(self) -> int:
        """First instant after the last day; nothing happens at or after it."""
        return int(day_of(self.last, self.zone).end.timestamp()) * SECOND

    @property
    def days(self) -> int:
        """Number of calendar days."""
        return (self.last - self.first).days + 1

    @property
    def product_count(self) -> int:
        """SKUs in the catalogue."""
        return self.products or min(2_000, max(40, self.visitors // 10))

    @property
    def customer_count(self) -> int:
        """Customers, second accounts that were merged not counted."""
        return self.customers or max(20, self.visitors // 2)

    def rng(self, part: str) -> np.random.Generator:
        """The random stream of one part, so that a change in one part leaves the others as they are."""
        number = int.from_bytes(hashlib.sha256(part.encode()).digest()[:8], "big")
        return np.random.default_rng([self.seed, number])

    def day_numbers(self, instants: Ints) -> Ints:
        """0-based tenant day of each instant, counted from the first day."""
        series = as_timestamps(instants).dt.convert_time_zone(self.zone.key).dt.date()
        numbers: Ints = series.to_physical().cast(pl.Int64).to_numpy() - (self.first - EPOCH).days
        return numbers

    def date_of(self, number: int) -> date:
        """Calendar day of a day number."""
        return self.first + timedelta(days=number)


def wall_to_utc(day_numbers: Ints, microseconds: Ints, first: date, zone: ZoneInfo) -> Ints:
    """Instants of wall-clock times on days counted from ``first``.

    A time that a clock change skips moves on by an hour; one that happens twice falls on either side.
    """
    if not len(day_numbers):
        # Polars panics on an empty frame where ``ambiguous`` is an expression.
        return np.zeros(0, dtype=np.int64)
    wall = (day_numbers + (first - EPOCH).days) * DAY + microseconds
    frame = pl.DataFrame({"wall": wall}).with_columns(
        naive=pl.col("wall").cast(pl.Datetime("us")),
        side=pl.when((pl.col("wall") // MILLISECOND) % 2 == 0).then(pl.lit("earliest")).otherwise(pl.lit("latest")),
    )
    exact = pl.col("naive").dt.replace_time_zone(zone.key, ambiguous=pl.col("side"), non_existent="null")
    # Only skipped times are moved: adding the hour to every row could itself run into a gap.
    moved = pl.when(exact.is_null()).then(pl.col("naive").dt.offset_by("1h"))
    later = moved.dt.replace_time_zone(zone.key, ambiguous="earliest", non_existent="null")
    result: Ints = frame.select(exact.fill_null(later)).to_series().to_physical().to_numpy()
    return result


def as_timestamps(instants: Ints) -> pl.Series:
    """Microseconds as a UTC timestamp column; negative means null."""
    series = pl.Series(instants, dtype=pl.Int64)
    return series.set(series < 0, None).cast(pl.Datetime("us", "UTC"))


def gather(values: pl.Series, index: Ints) -> pl.Series:
    """``values[index]``, null where the index is negative."""
    position = pl.Series(index, dtype=pl.Int64)
    return values.gather(position.set(position < 0, None))


def numbered(prefix: str, count: int, width: int = 6) -> pl.Series:
    """Ids ``<prefix><number>``, counted from 1 and zero-padded."""
    return pl.Series([f"{prefix}{number:0{width}d}" for number in range(1, count + 1)], dtype=pl.String)


def half_even(thousandths: Ints) -> Ints:
    """Thousandths of a minor unit rounded half-even to minor units, for either sign."""
    whole, rest = np.divmod(thousandths, 1_000)
    up = (rest > 500) | ((rest == 500) & (whole % 2 == 1))
    result: Ints = whole + up
    return result


def running_sum(values: Ints, starts: Flags) -> Ints:
    """Cumulative sum that begins again wherever ``starts`` is true; the first element must be a start."""
    total = np.cumsum(values)
    before = total[starts] - values[starts]
    result: Ints = total - before[np.cumsum(starts) - 1]
    return result


def weighted(rng: np.random.Generator, weights: Floats, count: int) -> Ints:
    """``count`` indices drawn by weight."""
    steps = np.cumsum(weights)
    drawn: Ints = np.searchsorted(steps, rng.random(count) * steps[-1], side="right").astype(np.int64)
    return np.minimum(drawn, len(weights) - 1)
