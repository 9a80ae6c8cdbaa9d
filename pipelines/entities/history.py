"""Valid time: which version of a record held when, and joins as of an instant.

A version holds from its own instant to the next one's; the first holds from the beginning, so that a reference that
arrives late resolves old days. How versions are folded is in ``fold``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from pipelines.entities.fold import states
from schemas.entities.envelope import Entity

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


def history(versions: pl.DataFrame, entity: Entity) -> pl.DataFrame:
    """Every state of each id in valid time, with the columns of ``entity.history_contract``.

    Of two versions with one instant the lesser holds for no time at all and is kept with ``effective_to`` equal to
    ``effective_from``. Nothing in the result depends on when a version arrived.
    """
    return valid_time(states(versions, entity), entity)


def valid_time(folded: pl.DataFrame, entity: Entity) -> pl.DataFrame:
    """``history`` of what ``fold.states`` returned."""
    same_id = pl.col("external_id").eq_missing(pl.col("external_id").shift(-1))
    spans = folded.with_columns(
        pl.col("order_at").alias("effective_from"),
        pl.when(same_id).then(pl.col("order_at").shift(-1)).alias("effective_to"),
    )
    keys = list(entity.history_contract.primary_key)
    return spans.select(entity.history_contract.names).unique(keys, keep="last", maintain_order=True)


def as_of(past: pl.DataFrame, instant: datetime) -> pl.DataFrame:
    """Rows that hold at ``instant`` (``effective_from <= instant < effective_to``), without deleted ones."""
    spans = _spans(past)
    ended = pl.col("effective_to") <= instant
    held = spans.filter((pl.col("_from") <= instant) & ~ended.fill_null(False) & ~pl.col("is_deleted"))
    return held.drop("_from")


def join_as_of(
    frame: pl.DataFrame, past: pl.DataFrame, *, key: str, instant: str, columns: Sequence[str], prefix: str = ""
) -> pl.DataFrame:
    """Add columns of the version that held at each row's instant; null where the id is unknown or was deleted.

    Args:
        frame: rows with ``key`` String and ``instant`` Datetime(us, UTC), in any order, which is kept.
        past: an ``<entity>_history``.
        key: column of ``frame`` that names an ``external_id``.
        instant: column of ``frame`` with the instant to look at.
        columns: columns of the history to add.
        prefix: put before the added names.
    """
    spans = _spans(past).sort("_from").select("external_id", "_from", *columns)
    renamed = spans.rename({"external_id": "_id", **{name: prefix + name for name in columns}})
    left = frame.with_row_index("_position").sort(instant)
    joined = left.join_asof(
        renamed, left_on=instant, right_on="_from", by_left=key, by_right="_id", check_sortedness=False, coalesce=False
    )
    return joined.sort("_position").drop("_position", "_from", "_id", strict=False)


def _spans(past: pl.DataFrame) -> pl.DataFrame:
    """Versions that hold for some time, the first of each id from the beginning in ``_from``."""
    held = past.filter((pl.col("effective_to") > pl.col("effective_from")).fill_null(True))
    first = pl.col("effective_from") == pl.col("effective_from").min().over("external_id")
    start = pl.lit(BEGINNING, dtype=pl.Datetime("us", "UTC"))
    return held.with_columns(pl.when(first).then(start).otherwise(pl.col("effective_from")).alias("_from"))
