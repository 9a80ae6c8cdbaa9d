"""Times that sequences make: one event without another for a time, and one after another.

Where days are taken one by one, a ``Carry`` holds what one leaves to the next, so that no event is read again for what
it may still lead to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import polars as pl

from pipelines.cohorts.cart_state import INF
from pipelines.cohorts.instants.truth import TIMES, times
from pipelines.cohorts.language.rules import Cohort, Step, Then, Without

#: Matching rows of a step: ``subject`` (not for products), ``at`` and, where asked for, the field that must be equal.
Rows = Callable[[Step, str | None], pl.DataFrame]
_CAUSES = {
    "order": "order",
    "buy": "order",
    "campaign_order": "order",
    "crossing": "stock",
    "link_click": "click",
}


#: First events of a sequence: ``key`` is the value of the field that must be equal.
WAITING = {"subject": pl.String, "key": pl.String, "began": pl.Int64, "since": pl.Int64, "until": pl.Int64}


@dataclass
class Carry:
    """What a sequence leaves from one stretch of time to the next.

    Attributes:
        begin: first instant of the stretch, microseconds; what happened before is carried or does not matter.
        end: first instant after it.
        held: ``TIMES`` that hold at the end of the stretch before; afterwards at the end of this one.
        waiting: ``WAITING`` that a second event may still follow.
    """

    begin: int = 0
    end: int = 0
    held: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TIMES))
    waiting: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=WAITING))

    def within(self, rows: pl.DataFrame, column: str = "at") -> pl.DataFrame:
        """Rows whose instant lies in the stretch."""
        return rows.filter((pl.col(column) >= self.begin) & (pl.col(column) < self.end))

    def keep(self, found: pl.DataFrame) -> None:
        """Carry the times that hold at the end."""
        self.held = found.filter((pl.col("start") < self.end) & (pl.col("end") >= self.end))


def cause(stream: str) -> str:
    """What an event of a stream is told as in ``caused_by``."""
    return _CAUSES.get(stream, stream)


def without(
    rule: Without,
    cohort: Cohort,
    rows: Rows,
    begun: pl.DataFrame | None = None,
    kept: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
    carry: Carry | None = None,
) -> pl.DataFrame:
    """``TIMES`` of an absence; it begins when the time has passed and ends by what the cohort says.

    Args:
        rule: the absence.
        cohort: whose parameters and endings apply.
        rows: rows of its streams.
        begun: what it waits after, with the instant as ``began``; all matching rows where not given.
        kept: a further condition on what was waited after, for those that nothing followed.
        carry: of a stretch of days; the rows then reach back as far as the absence.
    """
    wait = cohort.param(rule.within)
    if begun is None:
        begun = rows(Step(event=(rule.after,), where=rule.where), None).select("subject", pl.col("at").alias("began"))
    waiting = begun.unique().with_columns((pl.col("began") + wait).alias("start"))
    if carry:
        waiting = carry.within(waiting, "start")
    for stream in rule.without:
        other = rows(Step(event=(stream,)), None).select("subject", pl.col("at").alias("next"))
        if carry:
            other = other.filter(pl.col("next") >= carry.begin - wait)
        own = stream == rule.after
        found = _next(waiting, other.unique(), "began", strict=own)
        waiting = found.filter(pl.col("next").is_null() | (pl.col("next") > pl.col("start"))).drop("next")
    if kept is not None:
        waiting = kept(waiting)
    over = pl.col("began") + cohort.param(cohort.ttl) if cohort.ttl else pl.lit(INF, dtype=pl.Int64)
    ends = times(
        waiting.with_columns(
            over.alias("end"),
            pl.lit("expiry").alias("end_cause"),
            pl.when(over < INF).then(over).alias("expires"),
            start_cause=pl.lit("silence"),
        )
    )
    if carry:
        ends = pl.concat([carry.held, ends])
    for stream in cohort.until:
        other = rows(Step(event=(stream,)), None).select("subject", pl.col("at").alias("next"))
        other = carry.within(other, "next") if carry else other
        ends = _earlier(_next(ends, other.unique(), "start", strict=False), cause(stream))
    # What ends it may come at the instant at which it would begin.
    found = times(ends)
    if carry:
        carry.keep(found)
    return found


def then(rule: Then, cohort: Cohort, rows: Rows, carry: Carry | None = None) -> pl.DataFrame:
    """``TIMES`` of a sequence, one per value of ``same``: ``key`` is that value."""
    same = rule.same

    def told(step: Step) -> pl.DataFrame:
        found = rows(step, same)
        return carry.within(found) if carry else found

    first = _counting(told(rule.first), same).select(
        "subject", pl.col(same).cast(pl.String).alias("key"), began="at", since="since", until="until"
    )
    if carry:
        first = pl.concat([carry.waiting, first.cast(WAITING)])  # type: ignore[arg-type]
    second = _counting(told(rule.then), same).rename({same: "key"})
    by = [name for name in ("subject", "key") if name in second.columns]
    second = second.select(*by, "at", pl.col("since").alias("then_since"), pl.col("until").alias("then_until"))
    pairs = first.unique().join(second.unique(), on=by).filter(pl.col("began") <= pl.col("at"))
    if rule.within:
        pairs = pairs.filter(pl.col("at") - pl.col("began") <= cohort.param(rule.within))
    # Of several first events the last one before counts; both must be the subject's.
    latest = pl.col("began") == pl.col("began").max().over("subject", "key", "at")
    found = pairs.filter(latest).select(
        "subject",
        "key",
        pl.col("at").alias("start"),
        "began",
        pl.max_horizontal("at", "since", "then_since").alias("from"),
        pl.min_horizontal("until", "then_until").alias("to"),
    )
    for step in rule.unless:
        between = _named(told(step), same, "next")
        keyed = [name for name in ("subject", "key") if name in between.columns]
        voided = found.join(between, on=keyed).filter(
            (pl.col("next") > pl.col("began")) & (pl.col("next") <= pl.col("start"))
        )
        found = found.join(voided, on=["subject", "key", "start"], how="anti")
        if carry:
            void = first.join(between, on=keyed).filter(pl.col("next") > pl.col("began"))
            first = first.join(void, on=["subject", "key", "began"], how="anti")
    ends = _lasting(rule, cohort, found)
    if carry:
        carry.waiting = _still_waiting(rule, cohort, first, carry.end)
        ends = pl.concat([carry.held.with_columns(pl.col("start").alias("second")), ends])
    for step in rule.until:
        other = _named(told(step), same, "next")
        keyed = [name for name in ("subject", "key") if name in other.columns]
        ends = _earlier(_next(ends, other, "second", strict=True, by=keyed), cause(step.event[0]))
    held = times(ends)
    if carry:
        carry.keep(held)
    return held


def _lasting(rule: Then, cohort: Cohort, found: pl.DataFrame) -> pl.DataFrame:
    """``TIMES`` as long as they last where nothing ends them, and ``second``: the instant of the second event."""
    lasts = [pl.col("began") + cohort.param(rule.lasts)] if rule.lasts else []
    lasts += [pl.col("start") + cohort.param(rule.lasts_after)] if rule.lasts_after else []
    over = pl.min_horizontal([*lasts, pl.lit(INF, dtype=pl.Int64)])
    ended = pl.when(pl.col("to") < over).then(pl.lit("return")).otherwise(pl.lit("expiry"))
    return found.select(
        "subject",
        "key",
        pl.col("from").alias("start"),
        pl.min_horizontal(over, "to").alias("end"),
        pl.lit(cause(rule.then.event[0])).alias("start_cause"),
        ended.alias("end_cause"),
        pl.when(over < INF).then(over).alias("expires"),
        pl.col("start").alias("second"),
    )


def _still_waiting(rule: Then, cohort: Cohort, first: pl.DataFrame, end: int) -> pl.DataFrame:
    """The newest first event of each subject and key, as long as a second one may follow it."""
    if rule.within:
        first = first.filter(end - pl.col("began") <= cohort.param(rule.within))
    return first.sort("began").unique(["subject", "key"], keep="last", maintain_order=True)


def _counting(rows: pl.DataFrame, same: str) -> pl.DataFrame:
    """Rows with a value of the field, and from when to when they are the subject's; those of products always are."""
    known = rows.drop_nulls(same)
    if "since" in known.columns:
        return known
    return known.with_columns(pl.col("at").alias("since"), pl.lit(INF, dtype=pl.Int64).alias("until"))


def _named(rows: pl.DataFrame, same: str, name: str) -> pl.DataFrame:
    columns = {"subject": "subject", same: "key"}
    kept = [pl.col(column).alias(new) for column, new in columns.items() if column in rows.columns]
    return rows.select(*kept, pl.col("at").alias(name)).drop_nulls().unique()


def _next(
    rows: pl.DataFrame, other: pl.DataFrame, after: str, *, strict: bool, by: Sequence[str] = ("subject",)
) -> pl.DataFrame:
    """Rows with ``next``: the first instant of ``other`` at or after the instant in a column, or strictly after it."""
    return rows.sort(after).join_asof(
        other.sort("next"),
        left_on=after,
        right_on="next",
        by=list(by),
        strategy="forward",
        allow_exact_matches=not strict,
        coalesce=False,
        check_sortedness=False,
    )


def _earlier(rows: pl.DataFrame, told: str) -> pl.DataFrame:
    """End each time at ``next`` where that comes before."""
    first = pl.col("next").is_not_null() & (pl.col("next") < pl.col("end"))
    return rows.with_columns(
        pl.when(first).then("next").otherwise("end").alias("end"),
        pl.when(first).then(pl.lit(told)).otherwise("end_cause").alias("end_cause"),
    ).drop("next")
