"""A day cut out of the times in which cohorts hold: who moved, and who is in."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from pipelines.calendar import Day
from pipelines.cohorts.contents import json_string
from pipelines.signals.demand import micros


@dataclass(frozen=True)
class Held:
    """When one cohort holds.

    Attributes:
        cohort_id: of a family, with the key.
        times: ``truth.TIMES`` of the subjects, apart from each other.
        parts: ``TIMES`` of what they are made of, with when each part ends if nothing happens.
        shown: name of the context's list of the parts' keys; empty where there is none.
        needed: for a rule of so many orders within a time: how many, and the time; it ends when the oldest of the
            newest so many is older.
    """

    cohort_id: str
    times: pl.DataFrame
    parts: pl.DataFrame
    shown: str = ""
    needed: tuple[int, int] | None = None


def cut(held: Held, day: Day) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Transitions and members of a day.

    Returns:
        ``cohort_id``, ``subject``, ``at``, ``direction``, ``caused_by``, ``context``; and ``cohort_id``, ``subject``,
        ``is_member``, ``entered_at``, ``expires_at``, ``updated_at``, ``membership_key`` (null), ``context``; both
        sorted by subject, the first by instant as well.
    """
    start, end = micros(day.start), micros(day.end)
    rows = held.times.filter((pl.col("start") < end) & (pl.col("end") >= start))
    entered = rows.filter(pl.col("start") >= start).select("subject", at="start", caused_by="start_cause")
    exited = rows.filter(pl.col("end") < end).select("subject", at="end", caused_by="end_cause")
    ways = [
        frame.with_columns(pl.lit(way).alias("direction")) for frame, way in ((entered, "entered"), (exited, "exited"))
    ]
    moved = pl.concat(ways).sort("subject", "at", "direction")
    newest = rows.sort("subject", "start").unique("subject", keep="last", maintain_order=True)
    stays = pl.col("end") >= end
    members = newest.select(
        "subject",
        stays.alias("is_member"),
        pl.col("start").alias("entered_at"),
        pl.when(~stays).then("end").alias("expires_at"),
        pl.when(stays).then("start").otherwise("end").alias("updated_at"),
        pl.lit(None, dtype=pl.String).alias("membership_key"),
        pl.when(stays).then(end).otherwise("end").alias("at"),
    )
    label = pl.lit(held.cohort_id).alias("cohort_id")
    members = _with_expiry(held, members, end)
    told = _context(held, moved).select(label, "subject", "at", "direction", "caused_by", "context")
    listed = _context(held, members).select(label, pl.all().exclude("at"))
    return told, listed


def _with_expiry(held: Held, members: pl.DataFrame, end: int) -> pl.DataFrame:
    """Fill ``expires_at`` of members: the latest end of the parts that have begun, unless one of them has none."""
    begun = held.parts.filter((pl.col("start") < end) & (pl.col("end") >= end))
    known = begun.group_by("subject").agg(
        pl.when(pl.col("expires").null_count() == 0).then(pl.col("expires").max()).alias("then")
    )
    joined = members.join(known, on="subject", how="left", maintain_order="left")
    filled = pl.when("is_member").then("then").otherwise("expires_at").alias("expires_at")
    return joined.with_columns(filled).drop("then")


def _context(held: Held, rows: pl.DataFrame) -> pl.DataFrame:
    """Add ``context``: the values that hold at ``at``, or that held until then, as canonical JSON."""
    if not held.shown or rows.is_empty():
        return rows.with_columns(pl.lit(None, dtype=pl.String).alias("context"))
    wanted = rows.select("subject", "at").unique()
    found = wanted.join(held.parts.select("subject", "key", "start", "end"), on="subject")
    found = found.filter((pl.col("start") <= pl.col("at")) & (pl.col("end") >= pl.col("at")))
    values = found.select("subject", "at", "key").unique().sort("subject", "at", "key")
    listed = (
        values.with_columns(json_string("key").alias("key"))
        .group_by("subject", "at", maintain_order=True)
        .agg(pl.col("key").str.join(","))
        .select(
            "subject",
            "at",
            pl.concat_str(pl.lit('{"' + held.shown + '":['), "key", pl.lit("]}")).alias("context"),
        )
    )
    return rows.join(listed, on=["subject", "at"], how="left", maintain_order="left")


def members_at(times: pl.DataFrame, day: Day) -> pl.Series:
    """Subjects that are in at the end of a day."""
    end = micros(day.end)
    return times.filter((pl.col("start") < end) & (pl.col("end") >= end))["subject"].unique()
