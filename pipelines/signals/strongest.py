"""The strongest signal of a few products, such as those in a cart: one order for visitors' signals and for cohorts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta

import polars as pl

from pipelines.calendar import Day
from pipelines.config import Tenant
from pipelines.signals.catalogue import Signal, every_signal
from pipelines.signals.units import DAY
from pipelines.signals.visitor_measures import Strongest
from pipelines.storage.lake import Lake
from pipelines.storage.pinned import Pinned

#: What is known of a product; null where nothing is.
KNOWN = {
    "product_id": pl.String,
    "scarcity": pl.String,
    "momentum": pl.String,
    "surged": pl.Boolean,
    "rank": pl.Float64,
    "risk": pl.Float64,
}
#: Name of a signal in the ranking -> when a product has it.
_HOLDS = {
    "critical": pl.col("scarcity") == "critical",
    "breakout": pl.col("momentum") == "breakout",
    "cart_surge": pl.col("surged"),
    "low": pl.col("scarcity") == "low",
    "rising": pl.col("momentum") == "rising",
}
#: Signals that are asked.
SCARCITY, MOMENTUM, SURGE, RANK, RISK = "scarcity_state", "momentum", "cart_surge", "category_rank", "risk_score"


@dataclass(frozen=True)
class Ranking:
    """How signals of products are ranked.

    Attributes:
        names: the strongest first.
        rank: greatest rank in the category that counts.
        surge: microseconds for which a surge counts.
    """

    names: tuple[str, ...]
    rank: int
    surge: int


def ranking(signal: Signal) -> Ranking:
    """Of a definition that asks for the strongest signal."""
    measure = signal.measure
    assert isinstance(measure, Strongest)  # noqa: S101
    return Ranking(tuple(measure.ranking), signal.param(measure.rank), signal.param(measure.surge))


def tenant_ranking(tenant: Tenant) -> Ranking | None:
    """Of the tenant's definition; None where it has none. The first by id counts."""
    return next((ranking(each) for each in every_signal(tenant).values() if isinstance(each.measure, Strongest)), None)


def ranked(known: pl.DataFrame, by: Ranking) -> pl.DataFrame:
    """Products with any signal: the columns of ``known``, ``strength`` (0 the strongest) and ``top_signal``.

    Args:
        known: ``KNOWN`` and other columns.
        by: the ranking.
    """
    strength = pl.lit(None, dtype=pl.Int64)
    for place, name in reversed(list(enumerate(by.names))):
        holds = _HOLDS.get(name, pl.col("rank") <= by.rank)
        strength = pl.when(holds.fill_null(False)).then(pl.lit(place, dtype=pl.Int64)).otherwise(strength)
    placed = known.with_columns(strength.alias("strength")).filter(pl.col("strength").is_not_null())
    names = pl.Series(list(by.names))
    return placed.with_columns(pl.lit(names).gather(pl.col("strength")).alias("top_signal"))


def strongest(found: pl.DataFrame, key: str) -> pl.DataFrame:
    """Of each key the row with the strongest signal; ties by risk score, the greater first, then by product.

    Args:
        found: what ``ranked`` gave, with the key.
        key: column that tells carts apart.
    """
    return in_order(found).sort(key, maintain_order=True).unique(key, keep="first", maintain_order=True)


def in_order(found: pl.DataFrame) -> pl.DataFrame:
    """What ``ranked`` gave, the strongest first."""
    return found.sort("strength", pl.col("risk").fill_null(-1.0), "product_id", descending=[False, True, False])


@dataclass
class Published:
    """Signals of products as they are published, each day read once.

    Attributes:
        lake: where.
    """

    lake: Lake | Pinned
    _states: dict[date, pl.DataFrame] = field(default_factory=dict)
    _moves: dict[date, pl.DataFrame] = field(default_factory=dict)

    def held(self, day: date) -> pl.DataFrame:
        """What ``_held`` says of a day; of the day before it is kept as well."""
        if day not in self._states:
            near = (day - timedelta(days=1), day)
            self._states = {each: rows for each, rows in self._states.items() if each in near}
            self._states[day] = _held(self.lake, day)
        return self._states[day]

    def crossings(self, day: Day, by: Ranking) -> pl.DataFrame:
        """What ``_crossings`` says of a day."""
        if day.date not in self._moves:
            self._moves = {day.date: _crossings(self.lake, day, by)}
        return self._moves[day.date]


def at_end(lake: Published, day: Day, by: Ranking) -> pl.DataFrame:
    """``ranked`` products at the end of a day, by what is published of it: ``KNOWN`` and the rest."""
    surged = _surges(lake.crossings(day, by))
    since = day.end - timedelta(microseconds=by.surge)
    recent = surged.filter((pl.col("surged_at") > since) & (pl.col("surged_at") <= day.end))
    flagged = recent.select("product_id", pl.lit(True).alias("surged")).unique()
    held = lake.held(day.date).join(flagged, on="product_id", how="full", coalesce=True)
    return ranked(held.select(list(KNOWN)), by)


def at_moments(lake: Published, day: Day, moments: pl.DataFrame, by: Ranking) -> pl.DataFrame:
    """``ranked`` products at instants of a day, with all columns of ``moments``.

    States are those that hold at the instant: of scarcity after a crossing, of momentum from one on, as for a surge.
    Rank and risk score are those of the end of the day before.

    Args:
        lake: with the signals of products.
        day: the day.
        moments: ``product_id`` and ``at`` Int64 microseconds.
        by: the ranking.
    """
    held, crossed = lake.held(day.date - timedelta(days=1)), lake.crossings(day, by)
    surged = _surges(crossed)
    some = pl.concat([ranked(held.with_columns(surged=False), by), _wanted(crossed)], how="diagonal")
    asked = moments.join(some.select("product_id").unique(), on="product_id", how="semi").sort("at")
    asked = asked.with_columns((pl.col("at") * 2).alias("position"))
    today = crossed.filter(pl.col("date") == day.date)
    for signal, name in ((SCARCITY, "scarcity"), (MOMENTUM, "momentum")):
        later = 1 if signal == SCARCITY else 0
        steps = today.filter(pl.col("signal_id") == signal).select(
            "product_id", (pl.col("at") * 2 + later).alias("position"), pl.col("to_state").alias(f"{name}_now")
        )
        asked = asked.join_asof(steps.sort("position"), on="position", by="product_id", check_sortedness=False)
    placed = surged.select("product_id", pl.col("surged_at").dt.epoch("us").alias("since")).sort("since")
    asked = asked.join_asof(placed, left_on="at", right_on="since", by="product_id", check_sortedness=False)
    told = asked.join(held, on="product_id", how="left").with_columns(
        *(pl.coalesce(f"{name}_now", name).alias(name) for name in ("scarcity", "momentum")),
        (pl.col("at") - pl.col("since") < by.surge).fill_null(False).alias("surged"),
    )
    return ranked(told.drop("position", "since", "scarcity_now", "momentum_now"), by)


def _held(lake: Lake | Pinned, day: date) -> pl.DataFrame:
    """``KNOWN`` of the products of a day but for surges."""
    named = pl.col("signal_id").is_in([SCARCITY, MOMENTUM, RANK, RISK])
    rows = lake.scan("signal_snapshots", [day]).filter(named & pl.col("place").is_null())
    found = rows.select("signal_id", pl.col("subject").alias("product_id"), "state", "value").collect()
    columns = [("scarcity", SCARCITY, "state"), ("momentum", MOMENTUM, "state"), ("rank", RANK, "value")]
    columns.append(("risk", RISK, "value"))
    told = [
        pl.col(column).filter(pl.col("signal_id") == signal).first().alias(name) for name, signal, column in columns
    ]
    return found.group_by("product_id").agg(told)


def _crossings(lake: Lake | Pinned, day: Day, by: Ranking) -> pl.DataFrame:
    """What counts of a day, and of the days before it whose surges may: date, signal_id, product_id, to_state, at."""
    days = [day.date - timedelta(days=back) for back in range(by.surge // DAY + 2)]
    rows = lake.scan("signal_crossings", days).filter(
        pl.col("signal_id").is_in([SCARCITY, MOMENTUM, SURGE])
        & pl.col("suppressed_by").is_null()
        & pl.col("place").is_null()
    )
    at = pl.col("effective_at").dt.epoch("us").alias("at")
    return rows.select("date", "signal_id", pl.col("subject").alias("product_id"), "to_state", at).collect()


def _wanted(crossed: pl.DataFrame) -> pl.DataFrame:
    return crossed.filter(pl.col("to_state").is_in(["critical", "low", "breakout", "rising", "surged"]))


def _surges(crossed: pl.DataFrame) -> pl.DataFrame:
    instant = pl.from_epoch("at", time_unit="us").dt.replace_time_zone("UTC").alias("surged_at")
    return crossed.filter(pl.col("signal_id") == SURGE).select("product_id", instant)
