"""What visitors did on a day, as arrays by number of the visitor; the days of the longest window are kept in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from pipelines.cohorts.daily.space import Ints, Names
from pipelines.cohorts.streams.visitors import Visitors
from pipelines.storage.hashing import subject_key


@dataclass(frozen=True)
class Acts:
    """Acts of one kind on a day, in any order; instants in microseconds.

    Attributes:
        owner: number of the visitor.
        at: instants.
        weight: how many events each stands for.
        product: key of the product, 0 for none; of views only.
        category: key of its category, 0 for none; of views only.
    """

    owner: Ints
    at: Ints
    weight: Ints
    product: Ints
    category: Ints


#: One kind of act on a day.
KINDS = ("view", "add", "checkout")
DayActs = dict[str, Acts]


@dataclass
class Recent:
    """Acts of the newest days.

    Attributes:
        days: by day and kind.
    """

    days: dict[date, DayActs] = field(default_factory=dict)

    def load(self, source: Visitors, names: Names, day: date) -> DayActs:
        """Acts of a day, read once."""
        if day not in self.days:
            self.days[day] = {kind: _read(source, names, kind, day) for kind in KINDS}
        return self.days[day]

    def forget(self, before: date) -> None:
        """Let go of older days."""
        self.days = {day: acts for day, acts in self.days.items() if day >= before}


def _read(source: Visitors, names: Names, kind: str, day: date) -> Acts:
    table = "visitor_checkouts" if kind == "checkout" else "visitor_acts"
    if not source.lake.filled(table, day):
        none = np.zeros(0, dtype=np.int64)
        return Acts(none, none, none, none, none)
    if kind == "checkout":
        started = source.lake.scan(table, [day]).filter(pl.col("kind") == "started")
        rows = started.select("flockr_vid", pl.col("occurred_at").alias("at")).collect()
        rows = rows.with_columns(pl.lit(1, dtype=pl.Int64).alias("weight"))
    else:
        rows = source.products(kind, day)
    owner = names.of(rows["flockr_vid"])
    at = rows["at"].dt.epoch("us").to_numpy()
    none = np.zeros(len(owner), dtype=np.int64)
    if kind != "view":
        return Acts(owner, at, rows["weight"].to_numpy(), none, none)
    keys = rows.select(subject_key(name).fill_null(0) for name in ("product_id", "category"))
    return Acts(owner, at, rows["weight"].to_numpy(), keys["product_id"].to_numpy(), keys["category"].to_numpy())
