"""What must agree: members, spans and sizes of a day, each against the others. A day's check reads that day only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from pipelines.calendar import Day, day_of
from pipelines.cohorts.history import official
from pipelines.cohorts.history.spans import KEY
from pipelines.config import Tenant
from pipelines.step import Check, CheckResult
from pipelines.storage.lake import Lake
from schemas.tables import OPEN_SPANS

_SLICE = "Members of the newest day are the spans that are open; what left on a day are the spans that ended on it."
_COUNTED = "The size of a cohort is the number of its members, and its moves are those of the transitions."
TABLE = "cohort_membership_history"


def newest_day(lake: Lake) -> date | None:
    """Newest day of the history."""
    return max((day for day in lake.days(TABLE) if day != OPEN_SPANS), default=None)


def compare(left: pl.DataFrame, right: pl.DataFrame) -> dict[str, int]:
    """How many rows two frames with the same columns share, and how many only one of them has."""
    names = left.columns
    return {
        "equal": left.join(right, on=names, how="semi", nulls_equal=True).height,
        "only_left": left.join(right, on=names, how="anti", nulls_equal=True).height,
        "only_right": right.join(left, on=names, how="anti", nulls_equal=True).height,
    }


def sliced(lake: Lake, day: Day) -> pl.DataFrame:
    """``cohort_id``, ``subject``, ``valid_from`` of the spans that hold at the end of a day; reads what ended later."""
    later = [each for each in lake.days(TABLE) if each > day.date]
    rows = lake.scan(TABLE, later).filter(pl.col("valid_from") < day.end)
    return rows.select(*KEY, "valid_from").collect()


def members(tenant: Tenant, day: date) -> pl.DataFrame:
    """The same columns of the members at the end of a day."""
    rows = official.membership(tenant, day).filter("is_member")
    return rows.select(*KEY, pl.col("entered_at").alias("valid_from"))


def _spans(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    lake, newest = tenant.lake, newest_day(tenant.lake)
    wrong = {"missing": 0, "surplus": 0}
    compared = 0
    for day in sorted(set(days) & set(lake.days(TABLE))):
        exits = official.transitions(tenant, day).filter(pl.col("direction") == "exited")
        ended = lake.scan(TABLE, [day]).select(*KEY, pl.col("valid_to").alias("effective_at")).collect()
        found = compare(exits.select(*KEY, "effective_at"), ended)
        pairs = [found]
        if day == newest:
            # Where a definition took over, a member's entry by it may lie before the day on which it began to count.
            shared = KEY if official.switched(tenant, day) else [*KEY, "valid_from"]
            held = sliced(lake, day_of(day, tenant.zone))
            pairs.append(compare(members(tenant, day).select(shared), held.select(shared)))
        for each in pairs:
            compared += each["equal"]
            wrong["missing"] += each["only_left"]
            wrong["surplus"] += each["only_right"]
    return CheckResult("spans_are_members", not any(wrong.values()), _SLICE, {"compared": compared, **wrong})


def _counted(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    lake, wrong, compared = tenant.lake, 0, 0
    version = ["cohort_id", "definition_version"]
    for day in sorted(set(days) & set(lake.days("cohort_sizes"))):
        sizes = lake.read("cohort_sizes", [day]).drop("date")
        inside = _counts(lake.scan("cohort_membership", [day]).filter("is_member"), version, "size")
        moves = lake.scan("cohort_transitions", [day])
        flows = [_counts(moves.filter(pl.col("direction") == way), version, way) for way in ("entered", "exited")]
        found = sizes.select(version)
        for counted in (inside, *flows):
            found = found.join(counted, on=version, how="full", coalesce=True)
        found = found.with_columns(pl.col("size", "entered", "exited").fill_null(0))
        wrong += found.join(sizes, on=found.columns, how="anti").height
        compared += sizes.height
    return CheckResult("sizes_are_counts", not wrong, _COUNTED, {"compared": compared, "wrong": wrong})


def _counts(rows: pl.LazyFrame, keys: list[str], name: str) -> pl.DataFrame:
    return rows.group_by(keys).agg(pl.len().cast(pl.Int64).alias(name)).collect()


CHECKS: tuple[Check, ...] = (
    Check(TABLE, "spans_are_members", _SLICE, _spans),
    Check("cohort_sizes", "sizes_are_counts", _COUNTED, _counted),
)
