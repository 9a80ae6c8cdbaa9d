"""Rows of visitors' streams, day by day: what they looked at, wished for, added, bought and ordered.

Rows are anchored to the day of ``at``, and a row may come to count or cease to up to ``REACH`` days later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import polars as pl

from pipelines.cohorts.cart_state import INF
from pipelines.cohorts.language.matches import Matches, holds
from pipelines.cohorts.streams.states import SIGNAL, States
from pipelines.config import Tenant
from pipelines.signals.units import DAY
from pipelines.storage.pinned import Pinned

ACTS = ("view", "add", "remove", "wishlist", "unwishlist", "alert", "checkout")
SCARCITY = "signal.scarcity_state"
SCARCE = ("low", "critical")
#: Stream -> how many days after its own a row may still change.
REACH = {"scarce_day": 1}
#: Tables that each stream is read from.
TABLES = {
    **dict.fromkeys(ACTS, ("visitor_acts",)),
    "buy": ("visitor_purchases",),
    "order": ("visitor_orders",),
    "activity": ("visitor_daily",),
    "scarce_day": ("visitor_acts", "visitor_purchases", "signal_crossings", "signal_snapshots"),
}
_ONE = timedelta(days=1)


@dataclass
class Visitors:
    """Visitors' streams of a tenant; the tables of a few days are kept, so that several streams read them once."""

    tenant: Tenant
    lake: Pinned
    _kept: dict[tuple[str, date], pl.DataFrame] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.states = States(self.lake)

    def rows(self, stream: str, fields: Iterable[str], day: date, known: date) -> pl.DataFrame:
        """Rows of a stream that are anchored on a day.

        Args:
            stream: its name.
            fields: fields that the rows must have.
            day: tenant day of ``at``.
            known: nothing that happened after this day is known.

        Returns:
            ``subject`` String, ``at``, ``since`` and ``until`` Int64 microseconds, ``weight`` Int64 (how many events
            the row stands for), and the fields.
        """
        table, columns = _READ["view" if stream == "scarce_day" else stream]
        if not self.lake.filled(table, day):
            names = ["product_id", "scarce", "converted"] if stream == "scarce_day" else sorted(fields)
            return _EMPTY.with_columns(pl.lit(None, dtype=_TYPES.get(name, pl.String)).alias(name) for name in names)
        if stream == "scarce_day":
            return _scarce_days(self, day, known)
        frame = self.table(table, day, columns)
        return self._shaped(stream, frame.lazy(), sorted(fields), [day]).collect()

    def between(
        self, stream: str, fields: Iterable[str], days: Sequence[date], conditions: Matches = ()
    ) -> pl.DataFrame:
        """Rows of a stream that are anchored on consecutive days and satisfy conditions; as ``rows`` otherwise."""
        table, columns = _READ[stream]
        return self._chosen(stream, self.lake.scan(table, days).select(columns), fields, days, conditions)

    def matching(self, stream: str, fields: Iterable[str], day: date, conditions: Matches = ()) -> pl.DataFrame:
        """Rows of a stream that are anchored on a day and satisfy conditions, from the tables that are kept."""
        table, columns = _READ[stream]
        if not self.lake.filled(table, day):
            return self.rows(stream, fields, day, day)
        return self._chosen(stream, self.table(table, day, columns).lazy(), fields, [day], conditions)

    def _chosen(
        self, stream: str, scan: pl.LazyFrame, fields: Iterable[str], days: Sequence[date], conditions: Matches
    ) -> pl.DataFrame:
        for name, match in conditions:
            if name.startswith(SIGNAL) and match.any_in:
                # Products that never had such a state are most of them, and need not be looked up at each instant.
                moves = self.states.changes(name.removeprefix(SIGNAL), days)
                wanted = moves.filter(pl.col("state").is_in(list(match.any_in))).select("product_id").unique()
                scan = scan.join(wanted.lazy(), on="product_id", how="semi")
        return self._shaped(stream, scan, sorted(fields), days).filter(holds(conditions)).collect()

    def crossings(self, days: Sequence[date], conditions: Matches = ()) -> pl.DataFrame:
        """Crossings of signals of all places together that count: ``at``, ``signal``, ``product_id``, both states."""
        rows = self.lake.scan("signal_crossings", days)
        rows = rows.filter(pl.col("suppressed_by").is_null() & pl.col("place").is_null())
        named = rows.select(
            pl.col("effective_at").dt.epoch("us").alias("at"),
            pl.col("signal_id").alias("signal"),
            pl.col("subject").alias("product_id"),
            "from_state",
            "to_state",
        )
        return named.filter(holds(conditions)).collect()

    def products(self, stream: str, day: date) -> pl.DataFrame:
        """What visitors did with products on a day: ``flockr_vid``, ``at``, ``product_id`` and more of the table."""
        table, columns = _READ[stream]
        return _named(stream, self.table(table, day, columns).lazy()).collect()

    def table(self, name: str, day: date, columns: list[str]) -> pl.DataFrame:
        """Columns of a day of a table."""
        key = (name, day)
        if key not in self._kept:
            self._kept[key] = self.lake.scan(name, [day]).select(columns).collect()
        return self._kept[key]

    def _shaped(self, stream: str, rows: pl.LazyFrame, fields: list[str], days: Sequence[date]) -> pl.LazyFrame:
        found = _named(stream, rows)
        if any(name.startswith(SIGNAL) for name in fields):
            found = self.states.add(found.collect(), fields, days).lazy()
        at = pl.col("at").dt.epoch("us")
        weight = pl.col("weight") if stream in ACTS else pl.lit(1, dtype=pl.Int64)
        return found.select(
            pl.col("flockr_vid").alias("subject"),
            at.alias("at"),
            at.alias("since"),
            pl.lit(INF, dtype=pl.Int64).alias("until"),
            weight.alias("weight"),
            *fields,
        )

    def forget(self, keep: set[date]) -> None:
        """Let go of the tables of all days but some."""
        self._kept = {key: frame for key, frame in self._kept.items() if key[1] in keep}


_TYPES = {"discounted": pl.Boolean, "scarce": pl.Boolean, "converted": pl.Boolean}
_EMPTY = pl.DataFrame(
    schema={"subject": pl.String, "at": pl.Int64, "since": pl.Int64, "until": pl.Int64, "weight": pl.Int64}
)
_ACT = ["flockr_vid", "occurred_at", "act", "product_id", "session_id", "category", "outlet_id", "count"]
_READ = {
    **dict.fromkeys(ACTS, ("visitor_acts", _ACT)),
    "buy": ("visitor_purchases", ["flockr_vid", "product_id", "category", "order_id", "discounted", "ordered_at"]),
    "order": ("visitor_orders", ["flockr_vid", "order_id", "ordered_at"]),
    "activity": ("visitor_daily", ["flockr_vid", "last_at"]),
}


def _named(stream: str, rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows of a stream among those of its table, with the instant as ``at``."""
    if stream in ACTS:
        return rows.filter(pl.col("act") == stream).rename({"occurred_at": "at", "count": "weight"})
    return rows.rename({"last_at" if stream == "activity" else "ordered_at": "at"})


def _scarce_days(source: Visitors, day: date, known: date) -> pl.DataFrame:
    """One row per visitor and product viewed on a day, until it is converted, and one from then on."""
    pair = ["flockr_vid", "product_id"]
    views = source.states.add(source.products("view", day), [SCARCITY], [day])
    views = views.filter(pl.col("product_id").is_not_null()).select(*pair, pl.col("at").dt.epoch("us"), SCARCITY)
    done = [
        source.products(stream, each).select(*pair, pl.col("at").dt.epoch("us").alias("done"))
        for stream in ("add", "buy")
        for each in (day, day + _ONE)
        if each <= known
    ]
    acts = pl.concat(done) if done else pl.DataFrame(schema={**dict.fromkeys(pair, pl.String), "done": pl.Int64})
    acts = acts.join(views.select(pair).unique(), on=pair, how="semi").sort("done")
    # The last view before an act is the nearest, so it alone decides whether a day has passed.
    nearest = acts.join_asof(
        views.select(*pair, seen="at").sort("seen"), left_on="done", right_on="seen", by=pair, check_sortedness=False
    )
    timely = nearest.filter(pl.col("done") - pl.col("seen") <= DAY)
    first = timely.group_by(pair).agg(pl.col("done").min())
    days = views.group_by(pair).agg(
        pl.col("at").min(), pl.col(SCARCITY).is_in(list(SCARCE)).fill_null(False).any().alias("scarce")
    )
    joined = days.join(first, on=pair, how="left").rename({"flockr_vid": "subject"})
    shared = ["subject", "at", "since", "until", "weight", "product_id", "scarce", "converted"]
    one = pl.lit(1, dtype=pl.Int64).alias("weight")
    viewed = joined.with_columns(
        pl.col("at").alias("since"), pl.col("done").fill_null(INF).alias("until"), one, pl.lit(False).alias("converted")
    )
    converted = joined.filter(pl.col("done").is_not_null()).with_columns(
        pl.col("done").alias("since"), pl.lit(INF, dtype=pl.Int64).alias("until"), one, pl.lit(True).alias("converted")
    )
    return pl.concat([viewed.select(shared), converted.select(shared)])


def signals_of(fields: Iterable[str]) -> set[str]:
    """Signals whose states some fields are."""
    return {name.removeprefix(SIGNAL) for name in fields if name.startswith(SIGNAL)}
