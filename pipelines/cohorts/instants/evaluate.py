"""When a cohort's rule holds: each leaf from the rows of its streams, then all of them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from pipelines.cohorts.cart_state import INF
from pipelines.cohorts.instants import compare, sequences
from pipelines.cohorts.instants.sequences import Carry
from pipelines.cohorts.instants.truth import Truth, combined, joined, times
from pipelines.cohorts.language.matches import Matches, holds, matches
from pipelines.cohorts.language.rules import Cohort, Compare, Left, Member, Open, Step, Then, Without, leaves
from pipelines.cohorts.language.values import Count, Distinct, Since, Sum, Where
from pipelines.cohorts.streams.sessions import FIELDS
from pipelines.errors import UsageError


@dataclass(frozen=True)
class Source:
    """Where the rows of streams come from.

    Attributes:
        rows: stream, fields and conditions -> all rows of the stream that may matter.
        sessions: views with ``session_id`` -> the same with what their sessions came to; None where there are none.
    """

    rows: Callable[[str, set[str], Matches], pl.DataFrame]
    sessions: Callable[[pl.DataFrame], pl.DataFrame] | None = None


def evaluate(
    cohort: Cohort,
    source: Source,
    others: Mapping[str, pl.DataFrame],
    horizon: int,
    carries: Mapping[int, Carry] | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """``TIMES`` of the parts of memberships, and of memberships: parts that touch become one, of a family per key.

    Nothing begins at or after the horizon.

    Args:
        cohort: evaluated by instant.
        source: rows of its streams: ``subject``, ``at``, ``since``, ``until``, ``weight``, ``came``, ``went``, fields.
        others: ``TIMES`` of the cohorts that the rule names.
        horizon: microseconds.
        carries: place of a leaf -> what it carries from the stretch of days before; rows are then of this one.
    """
    carried = carries or {}
    found = {
        place: _leaf(leaf, cohort, source, others, horizon, carried.get(place))
        for place, leaf in enumerate(leaves(cohort.rule))
    }
    truth = combined(cohort.rule, found)
    if truth.base:
        raise UsageError(
            f"{cohort._file}: rule: holds for everyone who never did anything; add a part that must happen"
        )
    parts = truth.times.filter(pl.col("start") < horizon).sort("subject", "key", "start", "end")
    return parts, joined(parts if cohort.for_each else parts.with_columns(pl.lit("").alias("key")))


def parts_shown(cohort: Cohort) -> str:
    """Name of the list of keys that rows show: of a sequence, the values of the field that is the same."""
    found = leaves(cohort.rule)
    return f"{found[0].same}s" if len(found) == 1 and isinstance(found[0], Then) else ""


def _leaf(
    leaf: object,
    cohort: Cohort,
    source: Source,
    others: Mapping[str, pl.DataFrame],
    horizon: int,
    carry: Carry | None = None,
) -> Truth:
    if isinstance(leaf, Compare):
        return _compare(leaf, cohort, source, horizon)
    if isinstance(leaf, Member):
        return Truth(others[leaf.cohort].with_columns(*_told("cohort")))
    if isinstance(leaf, Left):
        ended = others[leaf.left].filter((pl.col("end_cause") == leaf.because_of) & (pl.col("end") < INF))
        over = pl.col("end") + cohort.param(leaf.within)
        again = ended.with_columns(
            pl.col("end").alias("start"), over.alias("end"), over.alias("expires"), start_cause="end_cause"
        )
        return Truth(times(again.with_columns(pl.lit("expiry").alias("end_cause"))))
    if isinstance(leaf, Open):
        rows = _keyed(_matching(source, leaf.open, leaf.where, cohort, _key_fields(cohort)), cohort)
        told = rows.with_columns(
            pl.col("since").alias("start"),
            pl.col("until").alias("end"),
            pl.lit(_OPENED.get(leaf.open, leaf.open)).alias("start_cause"),
            pl.lit(_CLOSED.get(leaf.open, "expiry")).alias("end_cause"),
        )
        return Truth(times(told))

    def rows_of(step: Step, field: str | None) -> pl.DataFrame:
        fields = {field} if field else set()
        return pl.concat([_matching(source, event, step.where, cohort, fields) for event in step.event], how="diagonal")

    if isinstance(leaf, Without):
        return Truth(_without(leaf, cohort, source, rows_of, carry))
    if isinstance(leaf, Then):
        return Truth(sequences.then(leaf, cohort, rows_of, carry))
    raise UsageError(f"{cohort._file}: rule: {type(leaf).__name__} is about carts and belongs into a cohort of carts")


def _without(
    leaf: Without, cohort: Cohort, source: Source, rows_of: sequences.Rows, carry: Carry | None
) -> pl.DataFrame:
    """What a session came to is asked only of what nothing followed, which is little of what there is."""
    plain = {name: condition for name, condition in leaf.where.items() if name not in FIELDS}
    later = matches({name: leaf.where[name] for name in leaf.where if name in FIELDS}, cohort)
    if not later or source.sessions is None:
        return sequences.without(leaf, cohort, rows_of, carry=carry)
    of_sessions = source.sessions

    def kept(rows: pl.DataFrame) -> pl.DataFrame:
        return of_sessions(rows.rename({"began": "at"})).filter(holds(later)).rename({"at": "began"})

    begun = _matching(source, leaf.after, plain, cohort, {"session_id"})
    views = begun.select("subject", "session_id", "weight", began="at")
    return sequences.without(leaf, cohort, rows_of, views, kept, carry)


_OPENED = {"opt_out": "opt_out", "referral_flagged": "referral"}
_CLOSED = {"opt_out": "opt_in", "referral_flagged": "referral"}


def _told(cause: str) -> list[pl.Expr]:
    return [pl.lit(cause).alias("start_cause"), pl.lit(cause).alias("end_cause")]


def _compare(leaf: Compare, cohort: Cohort, source: Source, horizon: int) -> Truth:
    value = leaf.value
    if isinstance(value, Since):
        stream = value.since or value.since_first or ""
        rows = _keyed(_matching(source, stream, value.where, cohort, set()), None)
        return compare.since(rows, leaf, cohort, sequences.cause(stream), horizon)
    if isinstance(value, Count | Sum | Distinct) and isinstance(leaf.bound, str):
        stream = value.count if isinstance(value, Count) else value.of
        field = value.sum if isinstance(value, Sum) else value.distinct if isinstance(value, Distinct) else None
        fields = _key_fields(cohort) | ({field} if field else set())
        rows = _keyed(_matching(source, stream, value.where, cohort, fields), cohort)
        return compare.counted(rows, leaf, cohort, _told_as(stream))
    raise UsageError(f"{cohort._file}: rule: this value needs evaluate: day")


def _told_as(stream: str) -> str:
    return "referral" if stream.startswith("referral") else sequences.cause(stream)


def _key_fields(cohort: Cohort) -> set[str]:
    return {cohort.for_each} if cohort.for_each else set()


def _keyed(rows: pl.DataFrame, cohort: Cohort | None) -> pl.DataFrame:
    if cohort is None or not cohort.for_each:
        return rows.with_columns(pl.lit("").alias("key"))
    return rows.drop_nulls(cohort.for_each).with_columns(pl.col(cohort.for_each).alias("key"))


def _matching(source: Source, stream: str, where: Where, cohort: Cohort, fields: set[str]) -> pl.DataFrame:
    conditions = matches(where, cohort)
    return source.rows(stream, fields | {name for name, _ in conditions}, conditions)
