"""From the rows of a day to the published tables: ids, links between visitor and customer, sizes, what must hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

import polars as pl

from pipelines.cohorts.links import SIDES
from pipelines.cohorts.result import Result
from pipelines.errors import MurmurError
from pipelines.storage.hashing import identifiers
from schemas.contract import Column
from schemas.tables import COHORT_MEMBERSHIP, COHORT_SUPPRESSED, COHORT_TRANSITIONS, CONTEXT


def transitions(result: Result, kind: str, tenant: str, versions: Mapping[str, str]) -> pl.DataFrame:
    """Rows of ``cohort_transitions`` without the date.

    Args:
        result: rows of a day of cohorts with one kind of subject.
        kind: ``visitor`` or ``customer``.
        tenant: tenant id, a part of each ``transition_id``.
        versions: definition version by cohort.
    """
    iso = instant("at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    parts = [pl.lit(tenant), pl.col("cohort_id"), pl.col("subject"), pl.col("direction"), iso]
    rows = result.transitions.with_columns(
        *_sides(kind),
        identifiers(parts).alias("transition_id"),
        instant("at").alias("effective_at"),
        _version(versions, result.transitions["cohort_id"]),
    )
    return _shaped(rows, tuple(COHORT_TRANSITIONS))


def membership(result: Result, kind: str, versions: Mapping[str, str]) -> pl.DataFrame:
    """Rows of ``cohort_membership`` without the date; arguments as for ``transitions``, members keyed."""
    rows = result.members.with_columns(
        *_sides(kind),
        *[instant(name).alias(name) for name in ("entered_at", "expires_at", "updated_at")],
        _version(versions, result.members["cohort_id"]),
    )
    return _shaped(rows, tuple(COHORT_MEMBERSHIP))


def suppressed(held: Mapping[str, pl.DataFrame], versions: Mapping[str, str]) -> pl.DataFrame:
    """Rows of ``cohort_suppressed`` without the date.

    Args:
        held: kind of subject -> what was kept from happening: ``listing.HELD``.
        versions: definition version by cohort.
    """
    names = [name for name in COHORT_SUPPRESSED.names if name != "date"]
    parts = [
        rows.with_columns(
            pl.lit(kind).alias("subject_type"),
            instant("at").alias("effective_at"),
            _version(versions, rows["cohort_id"]),
        ).select(names)
        for kind, rows in held.items()
    ]
    return pl.concat([COHORT_SUPPRESSED.empty().select(names), *parts])


def _sides(kind: str) -> list[pl.Expr]:
    names = {"flockr_vid": "flockr_vid", "customer_id": "external_id"}
    own, other = SIDES[kind]
    return [
        pl.col("subject").alias(names[own]),
        pl.col("other").alias(names[other]),
        pl.lit(kind).alias("subject_type"),
    ]


def _version(versions: Mapping[str, str], cohorts: pl.Series) -> pl.Expr:
    """Version of each row's cohort; those of a family have that of the family. Ids are split once, not once a row."""
    found = cohorts.rle().struct.field("value").unique()
    known = {cohort: versions[cohort.split(":", 1)[0]] for cohort in found}
    return pl.col("cohort_id").replace_strict(known, return_dtype=pl.String).alias("definition_version")


def instant(name: str) -> pl.Expr:
    """Microseconds as a UTC instant."""
    return pl.from_epoch(name, time_unit="us").dt.replace_time_zone("UTC")


def _shaped(rows: pl.DataFrame, columns: tuple[Column, ...]) -> pl.DataFrame:
    """The contract's columns; a context column that the cohorts do not have is null."""
    times = (
        {"last_order_at": instant("last_order_at").alias("last_order_at")} if "last_order_at" in rows.columns else {}
    )
    rows = rows.with_columns(list(times.values()))
    optional = {"context", *(column.name for column in CONTEXT)}
    shown = [
        pl.lit(None, dtype=column.dtype).alias(column.name)
        if column.name in optional and column.name not in rows.columns
        else pl.col(column.name)
        for column in columns
        if column.name != "date"
    ]
    return rows.select(shown)


def sizes(
    members: pl.DataFrame, moved: pl.DataFrame, versions: Mapping[str, str], single: Collection[str]
) -> pl.DataFrame:
    """Rows of ``cohort_sizes`` without the date, one per cohort.

    Args:
        members: of ``membership``.
        moved: of ``transitions``.
        versions: definition version by id of the definition.
        single: cohorts that have a row even when they are empty; those of a family have one while they have rows.
    """
    found = pl.concat(
        [members["cohort_id"].rle().struct.field("value"), moved["cohort_id"].rle().struct.field("value")]
    )
    listed = sorted({*single, *found.unique()})
    base = pl.DataFrame({"cohort_id": listed}, schema={"cohort_id": pl.String})
    base = base.with_columns(_version(versions, base["cohort_id"]))
    inside = _counts(members.with_columns(pl.col("is_member").alias("counted")), "size")
    flows = [
        _counts(moved.with_columns((pl.col("direction") == direction).alias("counted")), direction)
        for direction in ("entered", "exited")
    ]
    for counts in (inside, *flows):
        base = base.join(counts, on="cohort_id", how="left")
    return base.with_columns(pl.col("size", "entered", "exited").fill_null(0))


def _counts(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """How many rows of each cohort are ``counted``; rows lie cohort by cohort, so runs say it without hashing ids."""
    run = pl.col("cohort_id").rle_id().alias("run")
    runs = (
        rows.select("cohort_id", "counted", run)
        .group_by("run")
        .agg(pl.col("cohort_id").first(), pl.col("counted").sum().cast(pl.Int64).alias(name))
    )
    return runs.group_by("cohort_id").agg(pl.col(name).sum())


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


def by_cohort(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Frames that are sorted by cohort as one that is; slices cost nothing where sorting strings would."""
    pieces = []
    for frame in frames:
        start = 0
        for length, cohort in frame["cohort_id"].rle().struct.unnest().iter_rows():
            pieces.append((cohort, frame.slice(start, length)))
            start += length
    ordered = [piece for _, piece in sorted(pieces, key=lambda piece: str(piece[0]))]
    return pl.concat(ordered or [frame.clear() for frame in frames[:1]])
