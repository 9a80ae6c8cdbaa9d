"""Who viewed, added and bought which product, read for the days of a run and counted by ``visitors``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.calendar import day_of, days_between
from pipelines.signals import demand, inputs
from pipelines.signals.arrays import Ints, Products
from pipelines.signals.inputs import Run
from pipelines.signals.units import HOUR
from pipelines.signals.visitors import Numbers, Stretch
from pipelines.storage.hashing import subject_key

#: Of ``visitor_acts``, the act behind a count.
VISITOR_ACTS = {"view": "views", "add": "add_to_bags"}
#: Days that are counted together, and how many days times products at most.
_DAYS, _CELLS = 31, 8_000_000
#: Days that are counted together where the next one is likely to be the last.
_TAIL = 3
_CODES = {act: code for code, act in enumerate(VISITOR_ACTS)}
_KEYS = (subject_key("product_id").alias("product"), subject_key("flockr_vid").alias("visitor"))


_Some = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]


@dataclass
class Visits:
    """Distinct visitors by product, counted a stretch of days ahead.

    Attributes:
        run: what the facts are read through.
        days: that will be asked for, rising.
        tail: later ones that may be.
    """

    run: Run
    days: Sequence[date]
    tail: Sequence[date] = ()
    _named: Products = field(default_factory=lambda: Products({"since": np.iinfo(np.int64).max}))
    _counted: dict[date, int] = field(default_factory=dict)
    _counts: dict[str, Mapping[int, list[_Some]]] = field(default_factory=dict)
    _place: tuple[int, Ints] | None = None

    def known(self, day: date, products: Products) -> None:
        """Make sure that every product of the day's acts has an index."""
        if day in self._counted:
            self._indexes(day, products)
            return
        products.index(self._names(day))

    def of(self, day: date, products: Products) -> dict[tuple[str, int], Ints]:
        """Visitors by act and microseconds of the window, by product."""
        if day not in self._counted:
            self._count(self._stretch(day, products.height))
        mine, found = self._indexes(day, products), {}
        place = np.full(self._named.height, -1, dtype=np.int64)
        place[self._named["since"] <= day.toordinal()] = mine
        for act, by_width in self._counts.items():
            for width, days in by_width.items():
                row, count = days[self._counted[day]]
                column = np.zeros(products.height, dtype=np.int64)
                column[place[row]] = count
                found[act, width] = column
        return found

    def _indexes(self, day: date, products: Products) -> Ints:
        """Index of each product that was named by the end of the day."""
        ids = self._named.ids.filter(pl.Series(self._named["since"] <= day.toordinal()))
        if self._place is None or self._place[0] != ids.len():
            self._place = ids.len(), products.index(ids)
        return self._place[1]

    def _stretch(self, day: date, products: int) -> list[date]:
        longest = max(1, min(_DAYS, _CELLS // max(products, 1)))
        ahead = [each for each in self.days if each >= day][:longest]
        ahead = ahead or [each for each in self.tail if each >= day][: min(_TAIL, longest)]
        whole = [each for place, each in enumerate(ahead) if each == day + timedelta(days=place)]
        return whole or [day]

    def _count(self, days: Sequence[date]) -> None:
        widths = inputs.visitor_windows(self.run.definitions)
        self._counted, self._counts, self._place = {day: place for place, day in enumerate(days)}, {}, None
        self._named = Products({"since": np.iinfo(np.int64).max})
        if not widths:
            return
        zone = self.run.tenant.zone
        instants = [demand.grid(day_of(day, zone))[-1] * HOUR for day in days]
        stretches = {act: Stretch(instants, sorted(each)) for act, each in widths.items()}
        numbers = Numbers()
        for day in days_between(days[0] - timedelta(days=inputs.visitor_days(self.run.definitions)), days[-1]):
            for act, (keys, visitors, at) in self._acts(day).items():
                if act in stretches and len(keys):
                    product = self._numbered(keys, day)
                    self._named["since"][product] = np.minimum(self._named["since"][product], day.toordinal())
                    stretches[act].add(product, numbers.of(visitors), at)
        for act, stretch in stretches.items():
            counts = stretch.count(self._named.height)
            self._counts[act] = {width: _some(counts.pop(width)) for width in sorted(counts)}

    def _numbered(self, keys: Ints, day: date) -> Ints:
        found = self._named.by_key(keys)
        if (found < 0).any():
            self._named.index(self._names(day))
            return self._named.by_key(keys)
        return found

    def _acts(self, day: date) -> dict[str, tuple[Ints, Ints, Ints]]:
        """Keys of products and visitors, and instants, of the views, the adds and the purchases of a day."""
        acts = self.run.of_day("visitor_acts", day).filter(pl.col("product_id").is_not_null())
        kind = pl.col("act").replace_strict(_CODES, default=-1, return_dtype=pl.Int8)
        rows = acts.select(*_KEYS, _micros("occurred_at"), kind).collect()
        product, visitor, at, code = (column.to_numpy() for column in rows.iter_columns())
        found = {}
        for name, wanted in zip(VISITOR_ACTS.values(), _CODES.values(), strict=True):
            here = code == wanted
            found[name] = product[here], visitor[here], at[here]
        bought = self.run.of_day("visitor_purchases", day).filter(pl.col("product_id").is_not_null())
        sold = bought.select(*_KEYS, _micros("ordered_at")).collect()
        return {**found, "purchases": tuple(column.to_numpy() for column in sold.iter_columns())}

    def _names(self, day: date) -> pl.Series:
        """Products that are named on a day."""
        tables = [self.run.of_day(table, day).select("product_id") for table in ("visitor_acts", "visitor_purchases")]
        return pl.concat(tables).unique().drop_nulls().collect()["product_id"]


def _some(counts: npt.NDArray[np.int32]) -> list[_Some]:
    """By instant: rows with any visitors, and how many; most counts of short windows are zero."""
    found = []
    for column in counts.T:
        row = np.flatnonzero(column)
        found.append((row.astype(np.int32), column[row]))
    return found


def _micros(column: str) -> pl.Expr:
    return pl.col(column).dt.epoch("us").alias("at")
