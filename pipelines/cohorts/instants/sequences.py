"""Times that sequences make: one event without another for a time, and one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from pipelines.cohorts.cart_state import INF
from pipelines.cohorts.instants.truth import times
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


def cause(stream: str) -> str:
    """What an event of a stream is told as in ``caused_by``."""
    return _CAUSES.get(stream, stream)


def without(rule: Without, cohort: Cohort, rows: Rows) -> pl.DataFrame:
    """``TIMES`` of an absence; it begins when the time has passed and ends by what the cohort says."""
    wait = cohort.param(rule.within)
    begun = rows(Step(event=(rule.after,), where=rule.where), None).select("subject", pl.col("at").alias("began"))
    waiting = begun.unique().with_columns((pl.col("began") + wait).alias("start"))
    for stream in rule.without:
        other = rows(Step(event=(stream,)), None).select("subject", pl.col("at").alias("next")).unique()
        own = stream == rule.after
        found = _next(waiting, other, "began", strict=own)
        waiting = found.filter(pl.col("next").is_null() | (pl.col("next") > pl.col("start"))).drop("next")
    over = pl.col("began") + cohort.param(cohort.ttl) if cohort.ttl else pl.lit(INF, dtype=pl.Int64)
    ends = waiting.with_columns(
        over.alias("end"), pl.lit("expiry").alias("end_cause"), over.alias("expires"), start_cause=pl.lit("silence")
    )
    for stream in cohort.until:
        other = rows(Step(event=(stream,)), None).select("subject", pl.col("at").alias("next")).unique()
        ends = _earlier(_next(ends, other, "start", strict=False), cause(stream))
    found = ends.with_columns(pl.when(pl.col("expires") < INF).then("expires").alias("expires"))
    return times(found)


def then(rule: Then, cohort: Cohort, rows: Rows) -> pl.DataFrame:
    """``TIMES`` of a sequence, one per value of ``same``: ``key`` is that value."""
    same = rule.same
    first = _counting(rows(rule.first, same), same).select("subject", same, began="at", since="since", until="until")
    second = _counting(rows(rule.then, same), same)
    by = [name for name in ("subject", same) if name in second.columns]
    second = second.select(*by, "at", pl.col("since").alias("then_since"), pl.col("until").alias("then_until"))
    pairs = first.unique().join(second.unique(), on=by).filter(pl.col("began") <= pl.col("at"))
    if rule.within:
        pairs = pairs.filter(pl.col("at") - pl.col("began") <= cohort.param(rule.within))
    # Of several first events the last one before counts; both must be the subject's.
    latest = pl.col("began") == pl.col("began").max().over("subject", same, "at")
    found = pairs.filter(latest).select(
        "subject",
        same,
        pl.col("at").alias("start"),
        "began",
        pl.max_horizontal("at", "since", "then_since").alias("from"),
        pl.min_horizontal("until", "then_until").alias("to"),
    )
    for step in rule.unless:
        between = _named(rows(step, same), same, "next")
        keyed = [name for name in ("subject", same) if name in between.columns]
        voided = found.join(between, on=keyed).filter(
            (pl.col("next") > pl.col("began")) & (pl.col("next") <= pl.col("start"))
        )
        found = found.join(voided, on=["subject", same, "start"], how="anti")
    lasts = [pl.col("began") + cohort.param(rule.lasts)] if rule.lasts else []
    lasts += [pl.col("start") + cohort.param(rule.lasts_after)] if rule.lasts_after else []
    over = pl.min_horizontal([*lasts, pl.lit(INF, dtype=pl.Int64)])
    given = pl.min_horizontal(over, "to").alias("end")
    ended = pl.when(pl.col("to") < over).then(pl.lit("return")).otherwise(pl.lit("expiry")).alias("end_cause")
    ends = found.with_columns(given, ended)
    for step in rule.until:
        other = _named(rows(step, same), same, "next")
        keyed = [name for name in ("subject", same) if name in other.columns]
        ends = _earlier(_next(ends, other, "start", strict=True, by=keyed), cause(step.event[0]))
    told = ends.with_columns(
        pl.col("from").alias("start"),
        pl.col(same).cast(pl.String).alias("key"),
        pl.lit(cause(rule.then.event[0])).alias("start_cause"),
        pl.when(over < INF).then(over).alias("expires"),
    )
    return times(told)


def _counting(rows: pl.DataFrame, same: str) -> pl.DataFrame:
    """Rows with a value of the field, and from when to when they are the subject's; those of products always are."""
    known = rows.drop_nulls(same)
    if "since" in known.columns:
        return known
    return known.with_columns(pl.col("at").alias("since"), pl.lit(INF, dtype=pl.Int64).alias("until"))


def _named(rows: pl.DataFrame, same: str, name: str) -> pl.DataFrame:
    kept = [column for column in ("subject", same) if column in rows.columns]
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
