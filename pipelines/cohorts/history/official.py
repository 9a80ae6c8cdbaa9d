"""What holds and is told: of each cohort the rows of the definition that is active on the day.

Where a definition takes over, who is in by one and not by the other moves at the start of that day, ``caused_by``
definition. A tenant whose definitions never changed has its partitions as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta

import polars as pl

from pipelines.calendar import day_of
from pipelines.cohorts.history.definitions import Timeline, timeline
from pipelines.config import Tenant
from pipelines.storage.hashing import identifiers
from schemas.tables import COHORT_MEMBERSHIP, COHORT_TRANSITIONS

#: ``caused_by`` of a transition that happened because the rule changed, not because somebody did something.
DEFINITION = "definition"
_INSTANT = pl.Datetime("us", "UTC")
_SUBJECT = ["cohort_id", "subject"]
_ONE = timedelta(days=1)


def transitions(tenant: Tenant, day: date) -> pl.DataFrame:
    """Rows of ``cohort_transitions`` of a day, with what a change of definitions causes at its start."""
    rows = tenant.lake.read("cohort_transitions", [day])
    lines = timeline(tenant)
    if not lines.changed:
        return rows
    own = _of(rows, lines.active(day).values())
    caused = differences(tenant, lines, day)
    if not caused.height:
        return own
    # What ends where it begins did not happen for those who read one series.
    same = [*_SUBJECT, "effective_at"]
    natural = own.join(caused, on=same, how="anti")
    return pl.concat([natural, caused.join(own, on=same, how="anti")]).sort(COHORT_TRANSITIONS.primary_key)


def membership(tenant: Tenant, day: date) -> pl.DataFrame:
    """Rows of ``cohort_membership`` of a day, with those who left because of a change of definitions."""
    rows = tenant.lake.read("cohort_membership", [day])
    lines = timeline(tenant)
    if not lines.changed:
        return rows
    own = _of(rows, lines.active(day).values())
    gone = differences(tenant, lines, day).filter(pl.col("direction") == "exited").select(_SUBJECT)
    if not gone.height:
        return own
    before = tenant.lake.read("cohort_membership", [day - _ONE])
    old = _of(before, lines.active(day - _ONE).values())
    left = old.join(gone, on=_SUBJECT, how="semi").join(own, on=_SUBJECT, how="anti")
    start = day_of(day, tenant.zone).start
    shown = left.with_columns(
        pl.lit(day).alias("date"), pl.lit(False).alias("is_member"), pl.lit(start).cast(_INSTANT).alias("updated_at")
    )
    return pl.concat([own, shown.select(COHORT_MEMBERSHIP.names)]).sort(COHORT_MEMBERSHIP.primary_key)


def sizes(tenant: Tenant, day: date) -> pl.DataFrame:
    """Rows of ``cohort_sizes`` of a day, counting what a change of definitions causes."""
    rows = tenant.lake.read("cohort_sizes", [day])
    lines = timeline(tenant)
    if not lines.changed:
        return rows
    own = _of(rows, lines.active(day).values())
    if not lines.switching(day):
        return own
    moved = (
        transitions(tenant, day)
        .group_by("cohort_id")
        .agg([(pl.col("direction") == name).sum().cast(pl.Int64).alias(name) for name in ("entered", "exited")])
    )
    counted = own.drop("entered", "exited").join(moved, on="cohort_id", how="left")
    return counted.with_columns(pl.col("entered", "exited").fill_null(0)).select(rows.columns)


def counting(tenant: Tenant, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of a cohort table, of whatever days, whose definition counts on their day."""
    lines = timeline(tenant)
    if not lines.changed:
        return rows
    pairs = [(day, version) for day in tenant.lake.days("cohort_sizes") for version in lines.active(day).values()]
    schema = {"date": pl.Date, "definition_version": pl.String}
    return rows.join(pl.LazyFrame(pairs, schema=schema, orient="row"), on=list(schema), how="semi")


def switched(tenant: Tenant, day: date) -> str:
    """A text that differs where other definitions take over on a day; empty on a day like any other."""
    lines = timeline(tenant)
    if not lines.changed:
        return ""
    active = "|".join(f"{cohort}={version}" for cohort, version in sorted(lines.active(day).items()))
    files = tenant.lake.files("cohort_membership")
    return active + (files.get(day - _ONE, "") if lines.switching(day) else "")


def differences(tenant: Tenant, lines: Timeline, day: date) -> pl.DataFrame:
    """``COHORT_TRANSITIONS``: who enters and leaves at the start of a day because another definition takes over."""
    switching = lines.switching(day)
    if not switching:
        return COHORT_TRANSITIONS.empty()
    before = tenant.lake.read("cohort_membership", [day - _ONE]).filter("is_member")
    sides = [lines.active(day - _ONE), lines.active(day)]
    old, new = (_of(before, [side[cohort] for cohort in switching if cohort in side]) for side in sides)
    start = day_of(day, tenant.zone).start
    return pl.concat(
        [
            _moves(tenant, new.join(old, on=_SUBJECT, how="anti"), "entered", day, start),
            _moves(tenant, old.join(new, on=_SUBJECT, how="anti"), "exited", day, start),
        ]
    )


def _moves(tenant: Tenant, rows: pl.DataFrame, direction: str, day: date, start: datetime) -> pl.DataFrame:
    instant = pl.lit(start).cast(_INSTANT)
    iso = pl.col("effective_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    parts = [pl.lit(tenant.id), pl.col("cohort_id"), pl.col("subject"), pl.col("direction"), iso]
    moved = rows.with_columns(
        pl.lit(day).alias("date"),
        instant.alias("effective_at"),
        pl.lit(direction).alias("direction"),
        pl.lit(DEFINITION).alias("caused_by"),
    )
    return moved.with_columns(identifiers(parts).alias("transition_id")).select(COHORT_TRANSITIONS.names)


def _of(rows: pl.DataFrame, versions: Iterable[str]) -> pl.DataFrame:
    """Rows of some definitions; a version stands for one definition, whatever families of cohorts that makes."""
    return rows.filter(pl.col("definition_version").is_in(sorted(versions)))
