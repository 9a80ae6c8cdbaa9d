"""What one column of a dimension said when: its changes, the first from the beginning, and its value at an instant.

For columns that change seldom and are asked for often; a join of whole versions is in ``entities.history``.
"""

from __future__ import annotations

import polars as pl

from pipelines.entities.history import BEGINNING

_TIME = pl.Datetime("us", "UTC")
#: Columns of a history that are read beside the one that is followed.
VERSION = ("external_id", "effective_from", "effective_to", "is_deleted")


def changes(history: pl.DataFrame, column: str) -> pl.DataFrame:
    """From when on each id says which value, one row per change.

    Args:
        history: ``VERSION`` and ``column`` of an ``<entity>_history``.
        column: String column to follow; a deleted record says nothing.

    Returns:
        ``id`` String, ``since`` Datetime(us, UTC), ``value`` (null: nothing is said), sorted by id and since. The first
        version of an id holds from the beginning; one that holds for no time at all is left out.
    """
    lasting = (pl.col("effective_to") > pl.col("effective_from")).fill_null(True)
    held = history.filter(lasting).select(
        pl.col("external_id").alias("id"),
        pl.col("effective_from").alias("since"),
        pl.when(~pl.col("is_deleted")).then(column).alias("value"),
    )
    ordered = held.sort("id", "since")
    first = pl.col("id").ne_missing(pl.col("id").shift(1))
    told = ordered.filter(first | pl.col("value").ne_missing(pl.col("value").shift(1)))
    return told.with_columns(pl.when(first).then(pl.lit(BEGINNING, dtype=_TIME)).otherwise("since").alias("since"))


def with_value(frame: pl.DataFrame, told: pl.DataFrame, *, key: str, instant: str, name: str) -> pl.DataFrame:
    """Add what ``key`` said at each row's instant as ``name``; null where it says nothing. Rows are in no order.

    Args:
        frame: rows with ``key`` String and ``instant`` Datetime(us, UTC).
        told: ``changes``.
        key: column of ``frame`` that names an id.
        instant: column of ``frame`` with the instant to look at.
        name: of the new column.
    """
    at_first = told.filter(pl.col("since") == BEGINNING)
    later = told.filter(pl.col("since") != BEGINNING).select("id").unique()
    flagged = at_first.join(later.with_columns(_changes=pl.lit(True)), on="id", how="left")
    begun = flagged.select(pl.col("id").alias(key), pl.col("value").alias(name), "_changes")
    joined = frame.join(begun, on=key, how="left")
    changing = joined.filter(pl.col("_changes").fill_null(False))
    if changing.is_empty():
        return joined.drop("_changes")
    # Only ids that ever change are looked for in time, which costs sorting.
    found = (
        changing.drop(name, "_changes")
        .sort(instant)
        .join_asof(
            told.select(_id="id", _since="since", _value="value").sort("_since"),
            left_on=instant,
            right_on="_since",
            by_left=key,
            by_right="_id",
            check_sortedness=False,
            coalesce=False,
        )
    )
    still = joined.filter(pl.col("_changes").is_null()).drop("_changes")
    return pl.concat([still, found.select(*frame.columns, pl.col("_value").alias(name))])
