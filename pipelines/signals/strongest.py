"""The strongest signal of a few products, such as those in a cart: one order for visitors' signals and for cohorts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from pipelines.calendar import Day, local_date
from pipelines.config import Tenant
from pipelines.signals.at import states
from pipelines.signals.catalogue import Signal, every_signal, signals
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
    ordered = found.sort(
        key, "strength", pl.col("risk").fill_null(-1.0), "product_id", descending=[False, False, True, False]
    )
    return ordered.unique(key, keep="first", maintain_order=True)


def at_end(lake: Lake | Pinned, day: Day, by: Ranking) -> pl.DataFrame:
    """``ranked`` products at the end of a day, by what is published of it: ``KNOWN`` and the rest."""
    snapshot = lake.scan("signal_snapshots", [day.date]).filter(pl.col("place").is_null())

    def held(signal: str, column: str, name: str) -> pl.LazyFrame:
        some = snapshot.filter((pl.col("signal_id") == signal) & pl.col(column).is_not_null())
        return some.select(pl.col("subject").alias("product_id"), pl.col(column).alias(name))

    surged = _surges(lake, [day.date - timedelta(days=back) for back in range(_days(by) + 1)])
    since = day.end - timedelta(microseconds=by.surge)
    recent = surged.filter((pl.col("surged_at") > since) & (pl.col("surged_at") <= day.end))
    parts = [
        held(SCARCITY, "state", "scarcity"),
        held(MOMENTUM, "state", "momentum"),
        recent.select("product_id", pl.lit(True).alias("surged")).unique(),
        held(RANK, "value", "rank"),
        held(RISK, "value", "risk"),
    ]
    return ranked(_together(parts), by)


def _together(parts: Sequence[pl.LazyFrame]) -> pl.DataFrame:
    found = parts[0]
    for part in parts[1:]:
        found = found.join(part, on="product_id", how="full", coalesce=True)
    return found.collect().select(pl.col(name).cast(kind) for name, kind in KNOWN.items())


def at_moments(tenant: Tenant, moments: pl.DataFrame, by: Ranking) -> pl.DataFrame:
    """``ranked`` products at instants, with all columns of ``moments``.

    States are those that hold at the instant, a surge counts from its own on, rank and risk score are those of the end
    of the day before.

    Args:
        tenant: whose.
        moments: ``product_id`` and ``at`` Datetime(us, UTC).
        by: the ranking.
    """
    if moments.is_empty():
        return ranked(
            moments.with_columns(
                pl.lit(None, dtype=kind).alias(name) for name, kind in KNOWN.items() if name != "product_id"
            ),
            by,
        )
    known = signals(tenant)
    asked = (
        moments.select("product_id", "at")
        .unique()
        .with_columns(pl.col("product_id").alias("subject"), pl.lit(None, dtype=pl.String).alias("place"))
    )
    for signal, name in ((SCARCITY, "scarcity"), (MOMENTUM, "momentum")):
        if signal in known:
            asked = states(tenant, known[signal], asked).rename({"state": name})
        else:
            asked = asked.with_columns(pl.lit(None, dtype=pl.String).alias(name))
    asked = asked.with_columns(local_date(pl.col("at"), tenant.zone).alias("day"))
    days = sorted(asked["day"].unique().to_list())
    before = [day - timedelta(days=1) for day in days]
    rows = tenant.lake.scan("signal_snapshots", before).filter(pl.col("place").is_null())
    for signal, name in ((RANK, "rank"), (RISK, "risk")):
        held = rows.filter(pl.col("signal_id") == signal).select(
            pl.col("subject").alias("product_id"),
            pl.col("date").dt.offset_by("1d").alias("day"),
            pl.col("value").alias(name),
        )
        asked = asked.join(held.collect(), on=["product_id", "day"], how="left")
    asked = _with_surges(tenant, asked, days, by)
    found = ranked(asked.select(*KNOWN, "at"), by)
    return moments.join(found, on=["product_id", "at"])


def _with_surges(tenant: Tenant, asked: pl.DataFrame, days: Sequence[date], by: Ranking) -> pl.DataFrame:
    wanted = sorted({day - timedelta(days=back) for day in days for back in range(_days(by) + 1)})
    surged = _surges(tenant.lake, wanted).collect().sort("surged_at")
    placed = asked.sort("at").join_asof(
        surged, left_on="at", right_on="surged_at", by="product_id", check_sortedness=False
    )
    recent = pl.col("at") - pl.col("surged_at") < pl.duration(microseconds=by.surge)
    return placed.with_columns(recent.fill_null(False).alias("surged"))


def _surges(lake: Lake | Pinned, days: Sequence[date]) -> pl.LazyFrame:
    fired = lake.scan("signal_crossings", days).filter(
        (pl.col("signal_id") == SURGE) & pl.col("suppressed_by").is_null() & pl.col("place").is_null()
    )
    return fired.select(pl.col("subject").alias("product_id"), pl.col("effective_at").alias("surged_at"))


def _days(by: Ranking) -> int:
    return by.surge // DAY + 1
