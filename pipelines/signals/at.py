"""State of a signal at any instant, and events before one, from what is published. Cohorts ask here.

What happens at a grid instant was data before it, so it is seen from that instant on; a step of stock or of a price is
seen after its instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from pipelines.calendar import local_date
from pipelines.config import Tenant
from pipelines.signals.catalogue import Price, Runway, Scarcity, Signal, StockMove
from pipelines.signals.crossings import SEPARATOR

#: What moves at instants of the data instead of the grid.
_STEPPED = (Price, Runway, Scarcity, StockMove)
_KEY = pl.concat_str("subject", "place", separator=SEPARATOR, ignore_nulls=True).alias("_key")


def states(tenant: Tenant, signal: Signal, moments: pl.DataFrame) -> pl.DataFrame:
    """Add ``state`` to each row: the state that holds at its instant, by what is published of that day.

    Args:
        tenant: whose.
        signal: its definition; one that has states.
        moments: ``subject``, ``place`` (null: the whole tenant) and ``at`` Datetime(us, UTC); other columns are kept.

    Returns:
        ``moments`` in their order with ``state``: the normal state where nothing else is known.
    """
    named = moments.with_row_index("_row").with_columns(_KEY, local_date(pl.col("at"), tenant.zone).alias("_day"))
    days = named["_day"].unique().sort().to_list()
    yesterday = pl.col("date").dt.offset_by("1d").alias("_day")
    before = _rows(tenant, "signal_snapshots", signal, [day - timedelta(days=1) for day in days])
    held = before.select(yesterday, _KEY, pl.col("state").alias("_held")).collect()
    crossed = _rows(tenant, "signal_crossings", signal, days).filter(pl.col("suppressed_by").is_null())
    steps = crossed.select(pl.col("date").alias("_day"), _KEY, _position(signal), "to_state").collect()
    asked = named.with_columns((pl.col("at").to_physical() * 2).alias("_position")).sort("_position")
    found = asked.join_asof(steps.sort("_position"), on="_position", by=["_day", "_key"], check_sortedness=False).join(
        held, on=["_day", "_key"], how="left"
    )
    state = pl.coalesce("to_state", "_held", pl.lit(signal.normal, dtype=pl.String)).alias("state")
    return found.sort("_row").select(*moments.columns, state)


def events(tenant: Tenant, signal: Signal, days: Sequence[date]) -> pl.DataFrame:
    """Crossings of some days that count: subject, place, ``state``, ``effective_at``, ``seen_after`` (Boolean).

    ``seen_after`` says that an instant sees it only when it is later; otherwise also when it is the same.
    """
    crossed = _rows(tenant, "signal_crossings", signal, days).filter(pl.col("suppressed_by").is_null())
    after = pl.lit(isinstance(signal.measure, _STEPPED)).alias("seen_after")
    found = crossed.select("subject", "place", pl.col("to_state").alias("state"), "effective_at", after)
    return found.sort("effective_at", "subject", "place").collect()


def _rows(tenant: Tenant, table: str, signal: Signal, days: Sequence[date]) -> pl.LazyFrame:
    published = set(tenant.lake.days(table))
    rows = tenant.lake.scan(table, [day for day in days if day in published])
    return rows.filter(pl.col("signal_id") == signal.id)


def _position(signal: Signal) -> pl.Expr:
    later = 1 if isinstance(signal.measure, _STEPPED) else 0
    return (pl.col("effective_at").to_physical() * 2 + later).alias("_position")
