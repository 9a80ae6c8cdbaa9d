"""From the rows of a day to the published tables: ids, links between visitor and customer, sizes, what must hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import polars as pl

from pipelines.calendar import Day
from pipelines.cohorts.cart_state import INF
from pipelines.cohorts.result import Result
from pipelines.errors import MurmurError
from pipelines.signals.demand import micros
from pipelines.storage.hashing import identifiers
from schemas.contract import Column
from schemas.tables import COHORT_MEMBERSHIP, COHORT_TRANSITIONS, CONTEXT

#: Kind of subject -> the column that names it, and the column of the other one.
SIDES = {"visitor": ("flockr_vid", "customer_id"), "customer": ("customer_id", "flockr_vid")}
LINKS = {"flockr_vid": pl.String, "customer_id": pl.String, "linked_at": pl.Int64}


def transitions(
    result: Result, links: Mapping[str, pl.DataFrame], tenant: str, versions: Mapping[str, str]
) -> pl.DataFrame:
    """Rows of ``cohort_transitions`` without the date.

    Args:
        result: rows of a day of cohorts with one kind of subject; ``subject_type`` is a column.
        links: what ``spans`` gave.
        tenant: tenant id, a part of each ``transition_id``.
        versions: definition version by cohort.
    """
    rows = linked(result.transitions, links)
    iso = instant("at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    parts = [pl.lit(tenant), pl.col("cohort_id"), pl.col("subject"), pl.col("direction"), iso]
    rows = rows.with_columns(
        identifiers(parts).alias("transition_id"),
        instant("at").alias("effective_at"),
        _version(versions),
    )
    return _shaped(rows, tuple(COHORT_TRANSITIONS))


def membership(
    result: Result, links: Mapping[str, pl.DataFrame], versions: Mapping[str, str], day: Day
) -> pl.DataFrame:
    """Rows of ``cohort_membership`` without the date; arguments as for ``transitions``, members keyed."""
    rows = linked(result.members, links, micros(day.end))
    rows = rows.with_columns(
        *[instant(name).alias(name) for name in ("entered_at", "expires_at", "updated_at")],
        _version(versions),
    )
    return _shaped(rows, tuple(COHORT_MEMBERSHIP))


def _version(versions: Mapping[str, str]) -> pl.Expr:
    return pl.col("cohort_id").replace_strict(dict(versions), return_dtype=pl.String).alias("definition_version")


def instant(name: str) -> pl.Expr:
    """Microseconds as a UTC instant."""
    return pl.from_epoch(name, time_unit="us").dt.replace_time_zone("UTC")


def spans(links: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """When a subject is linked to which other, by kind of subject.

    Args:
        links: ``LINKS``; of two links at one instant the greater other id counts.

    Returns:
        kind -> ``subject``, ``other``, ``linked_at``, ``until``; the link holds in ``(linked_at, until]``.
    """
    found = {}
    for kind, (own, other) in SIDES.items():
        rows = links.select(pl.col(own).alias("subject"), pl.col(other).alias("other"), "linked_at")
        rows = rows.sort("subject", "linked_at", "other")
        same = (pl.col("subject") == pl.col("subject").shift(-1)).fill_null(False)
        until = pl.when(same).then(pl.col("linked_at").shift(-1)).otherwise(INF).alias("until")
        found[kind] = rows.with_columns(until).filter(pl.col("linked_at") < pl.col("until"))
    return found


def linked(rows: pl.DataFrame, links: Mapping[str, pl.DataFrame], before: int | None = None) -> pl.DataFrame:
    """Add ``flockr_vid`` and ``external_id``: the subject, and the other by the newest link before an instant.

    Args:
        rows: ``subject``, ``subject_type`` (one kind), and ``at`` where each row has an instant of its own.
        links: what ``spans`` gave.
        before: one instant for all rows.
    """
    kind = str(rows["subject_type"].first()) if rows.height else "visitor"
    own, other = SIDES[kind]
    holds = (pl.col("linked_at") < pl.col("before")) & (pl.col("before") <= pl.col("until"))
    if before is not None:
        now = links[kind].with_columns(pl.lit(before).alias("before")).filter(holds)
        joined = rows.join(now.select("subject", "other"), on="subject", how="left")
    else:
        wanted = rows.select("subject", pl.col("at").alias("before")).unique()
        then = wanted.join(links[kind], on="subject").filter(holds).select("subject", "other", at="before")
        joined = rows.join(then, on=["subject", "at"], how="left")
    return (
        joined.with_columns(pl.col("subject").alias(own))
        .rename({"other": other})
        .rename({"customer_id": "external_id"})
    )


def _shaped(rows: pl.DataFrame, columns: tuple[Column, ...]) -> pl.DataFrame:
    """The contract's columns; a context column that the cohorts do not have is null."""
    times = (
        {"last_order_at": instant("last_order_at").alias("last_order_at")} if "last_order_at" in rows.columns else {}
    )
    rows = rows.with_columns(list(times.values()))
    optional = {column.name for column in CONTEXT}
    shown = [
        pl.lit(None, dtype=column.dtype).alias(column.name)
        if column.name in optional and column.name not in rows.columns
        else pl.col(column.name)
        for column in columns
        if column.name != "date"
    ]
    return rows.select(shown)


def sizes(members: pl.DataFrame, moved: pl.DataFrame, versions: Mapping[str, str]) -> pl.DataFrame:
    """Rows of ``cohort_sizes`` without the date, one per cohort, empty cohorts included."""
    base = pl.DataFrame(
        {"cohort_id": sorted(versions), "definition_version": [versions[key] for key in sorted(versions)]},
        schema={"cohort_id": pl.String, "definition_version": pl.String},
    )
    size = members.group_by("cohort_id").agg(pl.col("is_member").sum().cast(pl.Int64).alias("size"))
    flow = moved.group_by("cohort_id").agg(
        (pl.col("direction") == direction).sum().cast(pl.Int64).alias(direction) for direction in ("entered", "exited")
    )
    joined = base.join(size, on="cohort_id", how="left").join(flow, on="cohort_id", how="left")
    return joined.with_columns(pl.col("size", "entered", "exited").fill_null(0))


def must_add_up(before: Mapping[str, int], now: pl.DataFrame, day: date) -> dict[str, int]:
    """Sizes by cohort after a day, when they follow from the day before.

    Raises:
        MurmurError: size(D) is not size(D-1) + entered - exited; nothing may be published.
    """
    for cohort, size, entered, exited in now.select("cohort_id", "size", "entered", "exited").iter_rows():
        expected = before.get(cohort, 0) + entered - exited
        if size != expected:
            raise MurmurError(
                f"cohort {cohort}, day {day}: {size} members, but the day before and the transitions give {expected}; "
                "nothing was published, please report it"
            )
    return dict(now.select("cohort_id", "size").iter_rows())
