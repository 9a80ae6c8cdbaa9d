"""From the times in which a rule holds to cohorts: a family's one per key, and since when memberships really hold."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from pipelines.cohorts.instants.days import Held
from pipelines.cohorts.instants.evaluate import parts_shown
from pipelines.cohorts.language.rules import Cohort, Compare
from pipelines.cohorts.language.values import Count


def held_of(cohort: Cohort, parts: pl.DataFrame, rows: pl.DataFrame) -> list[Held]:
    """The cohort, or those of a family that anyone is in, from what ``evaluate`` gave."""
    if not cohort.for_each:
        return [Held(cohort.id, rows, parts, parts_shown(cohort), _needed(cohort))]
    keys = rows["key"].unique().sort()
    return [
        Held(f"{cohort.id}:{key}", rows.filter(pl.col("key") == key), parts.filter(pl.col("key") == key))
        for key in keys
    ]


def _needed(cohort: Cohort) -> tuple[int, int] | None:
    """Orders and time of a rule that is nothing but so many orders within a time."""
    rule = cohort.rule
    if not isinstance(rule, Compare) or not isinstance(rule.value, Count) or rule.comparison != "at_least":
        return None
    value = rule.value
    if value.count != "order" or value.where or not value.within:
        return None
    return cohort.param(str(rule.bound)), cohort.param(value.within)


def with_begin(held: Held, began: pl.DataFrame | None, at: int) -> Held:
    """The cohort with memberships that hold at an instant from when they really began.

    Args:
        held: times of which an early part may not be known.
        began: ``subject`` and ``began`` of those who are in at the instant; None where nothing is missing.
        at: microseconds.
    """
    if began is None:
        return held
    joined = held.times.join(began, on="subject", how="left", maintain_order="left")
    inside = (pl.col("start") < at) & (pl.col("end") >= at) & pl.col("began").is_not_null()
    start = pl.when(inside).then("began").otherwise("start").alias("start")
    return replace(held, times=joined.with_columns(start).drop("began"))


def inside(held: Held, at: int) -> pl.DataFrame:
    """``subject`` and ``began`` of those who are in at an instant."""
    rows = held.times.filter((pl.col("start") < at) & (pl.col("end") >= at))
    return rows.select("subject", pl.col("start").alias("began"))
