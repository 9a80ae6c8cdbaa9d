"""From a day's entries and exits to the spans that ended on it and those that are open after it.

Pure. A subject has at most one open span in a cohort. Of an entry and an exit at one instant the entry comes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from schemas.tables import COHORT_MEMBERSHIP_HISTORY

KEY = ["cohort_id", "subject"]
_ENDS = ("date", "valid_to", "exited_by", "exit_transition_id")
#: Columns of open spans, which are sorted by ``KEY``.
OPEN: Mapping[str, pl.DataType] = {
    column.name: column.dtype for column in COHORT_MEMBERSHIP_HISTORY if column.name not in _ENDS
}
#: Columns of transitions that spans are made from.
MOVES = (
    *KEY,
    "definition_version",
    "effective_at",
    "direction",
    "transition_id",
    "subject_type",
    "flockr_vid",
    "external_id",
    "caused_by",
)


def no_spans() -> pl.DataFrame:
    """Open spans before the first day."""
    return pl.DataFrame(schema=OPEN)


def one_day(spans: pl.DataFrame, moves: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Close and open spans.

    Args:
        spans: ``OPEN``, open before the day.
        moves: ``MOVES`` of the day, in any order.

    Returns:
        The spans that ended (columns of the history without ``date``), and those that are open after the day.
    """
    names = [name for name in COHORT_MEMBERSHIP_HISTORY.names if name != "date"]
    if not moves.height:
        return COHORT_MEMBERSHIP_HISTORY.empty().select(names), spans
    keys = moves.select(KEY).unique()
    entered = _starts(moves.filter(pl.col("direction") == "entered"))
    carried = spans.join(keys, on=KEY, how="semi")
    exits = moves.filter(pl.col("direction") == "exited").select(
        *KEY,
        pl.col("effective_at").alias("at"),
        pl.col("caused_by").alias("exited_by"),
        pl.col("transition_id").alias("exit_transition_id"),
    )
    starts = pl.concat([carried, entered]).with_columns(pl.col("valid_from").alias("at"), pl.lit(0).alias("_ends"))
    rows = pl.concat([starts, exits.with_columns(pl.lit(1).alias("_ends"))], how="diagonal").sort(*KEY, "at", "_ends")
    follows = pl.all_horizontal(pl.col(name) == pl.col(name).shift(-1) for name in KEY).fill_null(False)
    ended = follows & (pl.col("_ends").shift(-1) == 1)
    paired = rows.with_columns(
        pl.when(ended).then(pl.col("at").shift(-1)).alias("valid_to"),
        *[pl.when(ended).then(pl.col(name).shift(-1)).alias(name) for name in ("exited_by", "exit_transition_id")],
        follows.alias("_follows"),
    ).filter(pl.col("_ends") == 0)
    closed = paired.filter(pl.col("valid_to").is_not_null()).select(names)
    still = paired.filter(~pl.col("_follows")).select(list(OPEN))
    return closed, _merged(spans.join(keys, on=KEY, how="anti", maintain_order="left"), still)


def _starts(entries: pl.DataFrame) -> pl.DataFrame:
    renamed = entries.rename(
        {"effective_at": "valid_from", "caused_by": "entered_by", "transition_id": "entry_transition_id"}
    )
    return renamed.select(list(OPEN))


def _merged(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    """Two frames sorted by ``KEY`` as one; cohort by cohort, since to merge is cheaper than to sort again."""
    if not left.height or not right.height:
        return left if left.height else right
    one, other = (dict(_by_cohort(frame)) for frame in (left, right))
    parts = []
    for cohort in sorted({*one, *other}):
        pair = [side[cohort] for side in (one, other) if cohort in side]
        parts.append(pair[0] if len(pair) == 1 else pair[0].merge_sorted(pair[1], key="subject"))
    return pl.concat(parts)


def _by_cohort(frame: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    start = 0
    for length, cohort in frame["cohort_id"].rle().struct.unnest().iter_rows():
        yield cohort, frame.slice(start, length)
        start += length
