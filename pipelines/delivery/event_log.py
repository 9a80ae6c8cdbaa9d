"""What is told to the world: the difference between the transitions of a day and what ``event_log`` says was told.

The fold of the log, sent and withheld, always equals the transitions. Pure: frames and instants in, new rows out;
sending is not here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta

import polars as pl

from pipelines.cohorts.history.official import DEFINITION
from pipelines.delivery.payload import cohort_payload, retraction_payload
from pipelines.storage.hashing import identifiers
from schemas.tables import EVENT_LOG

#: Direction of a transition -> the event that tells it; and that event -> the one that takes it back.
TELLS = {"entered": "cohort.entered", "exited": "cohort.exited"}
RETRACTS = {"cohort.entered": "cohort.entry_retracted", "cohort.exited": "cohort.exit_retracted"}


def difference(
    transitions: pl.DataFrame,
    log: pl.DataFrame,
    *,
    detected_at: datetime,
    newest: date,
    announce: bool = False,
    max_age: Mapping[str, timedelta] | None = None,
    active: Collection[str] | None = None,
    announced: Collection[str] = (),
) -> pl.DataFrame:
    """Rows to append to the log so that its fold equals the transitions.

    Args:
        transitions: rows of ``cohort_transitions`` of some days.
        log: rows of ``event_log`` of the same days.
        detected_at: when this is noticed.
        newest: the newest day with transitions; a new event of an earlier day is withheld as backfill.
        announce: send what belongs to earlier days too; what a changed definition caused is withheld all the same.
        max_age: by cohort, the age at detection above which an event is withheld as too old.
        active: versions of the definitions that count on these days, where any ever changed. What another version
            told is taken back in silence, and what is told in its place is withheld as well.
        announced: definitions whose change is to be sent.

    Returns:
        Columns of ``EVENT_LOG``, sorted by its primary key. A retraction is sent exactly if its original was, and so
        is what becomes true again after a retraction that was sent: the receiver was told the opposite.
    """
    told = latest(log)
    true_now = transitions.sort("transition_id", "definition_version").unique("transition_id", keep="first")
    believed = told.filter(pl.col("is_true"))
    fresh = _tellings(true_now.join(believed, on="transition_id", how="anti"), told, newest, announce, announced)
    undone = _retractions(believed.join(true_now, on="transition_id", how="anti"))
    rows = pl.concat([_too_old(fresh, detected_at, max_age or {}), undone])
    if active is not None:
        rows = _in_silence(rows, _of_others(told, active))
    stamped = rows.with_columns(
        pl.lit(detected_at, dtype=pl.Datetime("us", "UTC")).alias("detected_at"),
        pl.lit(None, dtype=pl.String).alias("crossing_id"),
    )
    return stamped.select(EVENT_LOG.names).sort(EVENT_LOG.primary_key)


def latest(log: pl.DataFrame) -> pl.DataFrame:
    """What the log last said of each transition: its row there, and ``is_true`` Boolean. One row a transition."""
    cohort_events = log.filter(pl.col("transition_id").is_not_null())
    retraction = pl.col("kind").is_in(list(RETRACTS.values()))
    ordered = cohort_events.with_columns((~retraction).alias("is_true")).sort(
        "transition_id", "generation", "is_true", descending=[False, False, True]
    )
    return ordered.unique("transition_id", keep="last", maintain_order=True)


def _tellings(
    rows: pl.DataFrame, told: pl.DataFrame, newest: date, announce: bool, announced: Collection[str]
) -> pl.DataFrame:
    """Events of transitions that are true and not believed, the first time or again."""
    before = told.select(
        "transition_id", (pl.col("generation") + 1).alias("next"), (pl.col("emission") == "sent").alias("undone_aloud")
    )
    kind = pl.col("direction").replace_strict(TELLS, return_dtype=pl.String)
    undone_aloud = pl.col("undone_aloud").fill_null(False)
    caused = pl.col("caused_by") == DEFINITION
    # A family of cohorts has one definition, whose id stands before the colon.
    wanted = caused & pl.col("cohort_id").str.split(":").list.first().is_in(sorted(announced))
    defined = caused & ~wanted & ~undone_aloud
    due = (pl.lit(announce) | (pl.col("date") == newest) | undone_aloud | wanted) & ~defined
    because = pl.when(defined).then(pl.lit(DEFINITION)).when(~due).then(pl.lit("backfill"))
    return (
        rows.join(before, on="transition_id", how="left", maintain_order="left")
        .with_columns(
            kind.alias("kind"),
            pl.col("next").fill_null(0).alias("generation"),
            pl.when(due).then(pl.lit("sent")).otherwise(pl.lit("withheld")).alias("emission"),
            because.alias("withheld_because"),
            pl.lit(None, dtype=pl.String).alias("supersedes"),
            cohort_payload(),
        )
        .with_columns(_event_id())
        .select(_COMPUTED)
    )


def _retractions(rows: pl.DataFrame) -> pl.DataFrame:
    """Events that take back what is believed and no longer true."""
    payloads = [retraction_payload(*pair) for pair in rows.select("payload", "event_id").iter_rows()]
    return (
        rows.with_columns(
            pl.col("event_id").alias("supersedes"),
            pl.col("kind").replace_strict(RETRACTS, return_dtype=pl.String),
            pl.Series("payload", payloads, dtype=pl.String),
        )
        .with_columns(_event_id())
        .select(_COMPUTED)
    )


def _of_others(told: pl.DataFrame, active: Collection[str]) -> pl.DataFrame:
    """What versions told that do not count any more."""
    version = pl.col("payload").str.json_path_match("$.definition_version")
    return told.filter(~version.is_in(sorted(active)).fill_null(True))


def _in_silence(rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Withhold what differs only since another version counts: what the old one told, and what replaces it."""
    telling = pl.col("supersedes").is_null()
    replaces = pl.col("cohort_id").is_in(others["cohort_id"].unique().implode()) & (pl.col("generation") == 0)
    undoes = pl.col("supersedes").is_in(others["event_id"].implode())
    silent = (pl.col("emission") == "sent") & pl.when(telling).then(replaces).otherwise(undoes)
    return rows.with_columns(
        pl.when(silent).then(pl.lit("withheld")).otherwise("emission").alias("emission"),
        pl.when(silent).then(pl.lit(DEFINITION)).otherwise("withheld_because").alias("withheld_because"),
    )


def _too_old(rows: pl.DataFrame, detected_at: datetime, max_age: Mapping[str, timedelta]) -> pl.DataFrame:
    """Withhold first tellings that nobody can act on any more."""
    if not max_age:
        return rows
    limit = pl.col("cohort_id").replace_strict(dict(max_age), default=None, return_dtype=pl.Duration("us"))
    age = pl.lit(detected_at, dtype=pl.Datetime("us", "UTC")) - pl.col("effective_at")
    late = ((age > limit) & (pl.col("emission") == "sent") & (pl.col("generation") == 0)).fill_null(False)
    return rows.with_columns(
        pl.when(late).then(pl.lit("withheld")).otherwise("emission").alias("emission"),
        pl.when(late).then(pl.lit("too_old")).otherwise("withheld_because").alias("withheld_because"),
    )


def _event_id() -> pl.Expr:
    return identifiers([pl.col("transition_id"), pl.col("kind"), pl.col("generation").cast(pl.String)]).alias(
        "event_id"
    )


_COMPUTED = [name for name in EVENT_LOG.names if name not in ("detected_at", "crossing_id")]
