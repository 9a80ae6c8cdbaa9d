"""Times in which a number of a subject compares with a bound: counts and sums in a window, and time since an event."""

from __future__ import annotations

import polars as pl

from pipelines.cohorts.cart_state import INF
from pipelines.cohorts.instants.truth import Truth, times
from pipelines.cohorts.language.bounds import Bound, Greatest, Multiple
from pipelines.cohorts.language.rules import Cohort, Compare
from pipelines.cohorts.language.values import Count, Distinct, MedianGap, Since, Sum
from pipelines.cohorts.orders import MERGE, ORDER, median
from pipelines.errors import UsageError

_STRICT = {"more_than": 1, "less_than": 0, "at_least": 0, "at_most": 1}


def counted(rows: pl.DataFrame, rule: Compare, cohort: Cohort, cause: str) -> Truth:
    """When a count, a sum or a number of different values compares with a parameter.

    Args:
        rows: matching rows of the stream: ``subject``, ``key``, ``at``, ``since``, ``until``, ``weight``, ``came``,
            ``went`` and the field.
        rule: the comparison.
        cohort: whose parameters apply.
        cause: what one more row is told as.
    """
    value = rule.value
    assert isinstance(value, Count | Sum | Distinct)  # noqa: S101
    window = cohort.param(value.within) if value.within else None
    leaves = pl.min_horizontal(pl.col("at") + window, "until") if window is not None else pl.col("until")
    inside = rows.with_columns(leaves.alias("leaves")).filter(pl.col("leaves") > pl.col("since"))
    amount = pl.col("weight")
    if isinstance(value, Distinct):
        inside, amount = _islands(inside.drop_nulls(value.distinct), value.distinct), pl.lit(1, dtype=pl.Int64)
    if isinstance(value, Sum):
        inside, amount = inside.drop_nulls(value.sum), pl.col(value.sum)
    path = _steps(inside.with_columns(amount.alias("amount")), cause)
    limit = cohort.param(str(rule.bound))
    total = pl.col("total")
    true = {
        "at_least": total >= limit,
        "more_than": total > limit,
        "at_most": total <= limit,
        "less_than": total < limit,
        "equals": total == limit,
    }[rule.comparison]
    base = {
        "at_least": limit <= 0,
        "more_than": limit < 0,
        "at_most": limit >= 0,
        "less_than": limit > 0,
        "equals": limit == 0,
    }[rule.comparison]
    return Truth(times(_runs(path.with_columns(true.alias("on")), base)), base)


def _islands(rows: pl.DataFrame, field: str) -> pl.DataFrame:
    """Rows of one value that overlap as one."""
    named = rows.with_columns(
        pl.concat_str([pl.col("key"), pl.col(field).cast(pl.String)], separator="\x1f").alias("_")
    )
    ordered = named.sort("subject", "_", "since", "leaves")
    group = ["subject", "_"]
    reach = pl.col("leaves").cum_max().shift(1).over(group)
    placed = ordered.with_columns((reach.is_null() | (pl.col("since") > reach)).cast(pl.Int64).cum_sum().alias("run"))
    last = pl.col("leaves").arg_max()
    return placed.group_by("run", maintain_order=True).agg(
        pl.col("subject", "key", "since", "came").first(), pl.col("leaves", "until", "went").get(last)
    )


#: Causes of the steps in the order in which they are taken at one instant: the last one in, or out, is told.
_STEPS = ("merge", "*", "expiry", "merge", "return")
_RANK_IN = pl.when(pl.col("came") == MERGE).then(0).otherwise(1)
_RANK_OUT = pl.when(pl.col("until") > pl.col("leaves")).then(2).when(pl.col("went") == MERGE).then(3).otherwise(4)


def _steps(inside: pl.DataFrame, cause: str) -> pl.DataFrame:
    """Each instant at which the total of a subject and key changes: ``total`` after it, ``came_by``, ``went_by``."""
    came = inside.select("subject", "key", pl.col("since").alias("at"), step=pl.col("amount"), rank=_RANK_IN)
    left = inside.filter(pl.col("leaves") < INF).select(
        "subject", "key", pl.col("leaves").alias("at"), step=-pl.col("amount"), rank=_RANK_OUT
    )
    names = {place: name.replace("*", cause) for place, name in enumerate(_STEPS)}
    named = pl.col("rank").replace_strict(names, return_dtype=pl.String)
    steps = pl.concat([came, left]).sort("subject", "key", "at", "rank").with_columns(named.alias("cause"))
    incoming = pl.col("rank") < 2
    group = ["subject", "key"]
    told = steps.with_columns(
        pl.col("step").cum_sum().over(group).alias("total"),
        pl.when(incoming).then("cause").forward_fill().over(group).alias("came_by"),
        pl.when(~incoming).then("cause").forward_fill().over(group).alias("went_by"),
        incoming.alias("incoming"),
    )
    return told.unique([*group, "at"], keep="last", maintain_order=True)


def _runs(path: pl.DataFrame, base: bool) -> pl.DataFrame:
    """Times in which ``on`` is not the base."""
    same = (pl.col("subject") == pl.col("subject").shift(1)) & (pl.col("key") == pl.col("key").shift(1))
    before = pl.when(same.fill_null(False)).then(pl.col("on").shift(1)).otherwise(base)
    told = pl.when("incoming").then(pl.col("cause")).otherwise(pl.col("cause")).alias("told")
    changes = path.with_columns(told).filter(pl.col("on") != before)
    follows = (pl.col("subject") == pl.col("subject").shift(-1)) & (pl.col("key") == pl.col("key").shift(-1))
    ended = changes.with_columns(
        pl.when(follows.fill_null(False)).then(pl.col("at").shift(-1)).otherwise(INF).alias("end"),
        pl.when(follows.fill_null(False)).then(pl.col("told").shift(-1)).otherwise(pl.lit("expiry")).alias("end_cause"),
    )
    return ended.filter(pl.col("on") != base).rename({"at": "start", "told": "start_cause"})


def since(rows: pl.DataFrame, rule: Compare, cohort: Cohort, cause: str, horizon: int) -> Truth:
    """When the time since the last, or the first, event compares with a bound.

    Args:
        rows: matching rows of the stream, as for ``counted``.
        rule: the comparison; its bound a parameter, or the greatest of one and a multiple of the median gap.
        cohort: whose parameters apply.
        cause: what one more row is told as.
        horizon: microseconds; nothing begins at or after it.
    """
    assert isinstance(rule.value, Since)  # noqa: S101
    floor, multiple = _floor(rule.bound, cohort)
    strict = _STRICT.get(rule.comparison)
    if strict is None:
        raise UsageError(
            f"{cohort._file}: rule: equals: a time is compared with at_least, more_than, at_most, less_than"
        )
    segments = _segments(rows, cause)
    first = rule.value.since_first is not None
    due = _due(segments, rows, floor + strict, multiple, first=first)
    if rule.comparison in ("at_least", "more_than"):
        told = pl.when((pl.col("cause") != cause) & (pl.col("due") <= pl.col("at"))).then("cause")
        long = due.with_columns(
            pl.max_horizontal("at", "due").alias("start"), told.otherwise(pl.lit("silence")).alias("start_cause")
        )
        begun = long.filter(pl.col("start") < horizon)
        return Truth(times(begun))
    short = due.with_columns(
        pl.col("at").alias("start"),
        pl.min_horizontal("end", "due").alias("end"),
        pl.when(pl.col("due") < pl.col("end")).then(pl.lit("expiry")).otherwise("end_cause").alias("end_cause"),
        pl.col("cause").alias("start_cause"),
        pl.col("due").alias("expires"),
    )
    return Truth(times(short))


def _floor(bound: Bound, cohort: Cohort) -> tuple[int, int]:
    """Shortest time and multiple of the median gap."""
    if isinstance(bound, str):
        return cohort.param(bound), 0
    if isinstance(bound, Multiple) and isinstance(bound.of, MedianGap) and not bound.of.otherwise:
        return 0, cohort.param(bound.multiple)
    if isinstance(bound, Greatest):
        parts = [_floor(part, cohort) for part in bound.greatest]
        return max(floor for floor, _ in parts), max(multiple for _, multiple in parts)
    raise UsageError(f"{cohort._file}: rule: a time is compared with a parameter or a multiple of median_gap here")


def _segments(rows: pl.DataFrame, cause: str) -> pl.DataFrame:
    """Times between the instants at which which rows count changes, up to the next: ``segment``, ``at``, ``end``."""
    ended = rows.filter(pl.col("until") < INF)
    events = pl.concat(
        [
            rows.select("subject", "key", pl.col("since").alias("at"), pl.col("came").cast(pl.Int64).alias("rank")),
            ended.select("subject", "key", pl.col("until").alias("at"), pl.col("went").cast(pl.Int64).alias("rank")),
        ]
    )
    # At one instant an event decides the cause, and what holds after it is looked up for the instant.
    steps = events.group_by("subject", "key", "at").agg(pl.col("rank").min()).sort("subject", "key", "at")
    same = (pl.col("subject") == pl.col("subject").shift(-1)) & (pl.col("key") == pl.col("key").shift(-1))
    named = pl.col("rank").replace_strict({ORDER: cause, ORDER + 1: "return", MERGE: "merge"}, return_dtype=pl.String)
    return steps.with_columns(
        named.alias("cause"),
        pl.when(same.fill_null(False)).then(pl.col("at").shift(-1)).otherwise(INF).alias("end"),
        pl.when(same.fill_null(False)).then(named.shift(-1)).otherwise(pl.lit(cause)).alias("end_cause"),
    ).with_row_index("segment")


def _due(segments: pl.DataFrame, rows: pl.DataFrame, floor: int, multiple: int, *, first: bool) -> pl.DataFrame:
    """Segments in which something counts, with the instant ``due`` at which the time has passed."""
    known = rows.select("subject", "key", pl.col("at").alias("happened"), "since", "until")
    if multiple == 0 and not first and rows.filter(pl.col("until") < INF).is_empty():
        # Nothing ever ceases to count, so that the last one is the one the segment begins with.
        return segments.with_columns((pl.col("at") + floor).alias("due"))
    valid = segments.select("segment", "subject", "key", "at").join(known, on=["subject", "key"])
    valid = valid.filter((pl.col("since") <= pl.col("at")) & (pl.col("until") > pl.col("at")))
    valid = valid.sort("segment", "happened").with_columns(
        (pl.col("happened") - pl.col("happened").shift(1).over("segment")).alias("gap")
    )
    anchor = pl.col("happened").min() if first else pl.col("happened").max()
    wait = pl.max_horizontal(pl.lit(floor), median("gap") * multiple) if multiple else pl.lit(floor)
    return segments.join(valid.group_by("segment").agg((anchor + wait).alias("due")), on="segment")
