"""What is told to the world: the difference between what is true of a day and what ``event_log`` says was told.

The fold of the log, sent and withheld, always equals what is true: transitions of cohorts, crossings of signals. A
change in the referral programme is told once and never taken back. Pure: frames and instants in, new rows out; sending
is not here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import polars as pl

from pipelines.cohorts.history.official import DEFINITION
from pipelines.delivery.payload import cohort_payload, retraction_payload
from pipelines.storage.hashing import identifiers
from schemas.tables import EVENT_LOG

#: Direction of a transition -> the event that tells it; and that event -> the one that takes it back.
TELLS = {"entered": "cohort.entered", "exited": "cohort.exited"}
RETRACTS = {"cohort.entered": "cohort.entry_retracted", "cohort.exited": "cohort.exit_retracted"}


@dataclass(frozen=True)
class Family:
    """Facts of one kind: how they are told apart, told and taken back.

    Attributes:
        key: column of the facts and of the log that identifies a fact.
        scope: column that names the definition behind a fact, if there is one.
        kind: the event type that tells a fact.
        payload: adds ``payload`` String to facts.
        retracts: event type -> the one that takes it back; empty where nothing is taken back.
        caused_by: whether facts say what caused them.
    """

    key: str
    scope: str | None
    kind: pl.Expr
    payload: Callable[[pl.DataFrame], pl.DataFrame]
    retracts: Mapping[str, str] = field(default_factory=dict)
    caused_by: bool = False


COHORTS = Family(
    key="transition_id",
    scope="cohort_id",
    kind=pl.col("direction").replace_strict(TELLS, return_dtype=pl.String),
    payload=lambda rows: rows.with_columns(cohort_payload()),
    retracts=RETRACTS,
    caused_by=True,
)


def difference(
    facts: pl.DataFrame,
    log: pl.DataFrame,
    family: Family = COHORTS,
    *,
    detected_at: datetime,
    newest: date,
    announce: bool = False,
    max_age: Mapping[str, timedelta] | None = None,
    active: Collection[str] | None = None,
    announced: Collection[str] = (),
) -> pl.DataFrame:
    """Rows to append to the log so that its fold equals the facts.

    Args:
        facts: what is true of some days, such as rows of ``cohort_transitions``.
        log: rows of ``event_log`` of the same days.
        family: which kind of facts these are.
        detected_at: when this is noticed.
        newest: the newest day with facts; a new event of an earlier day is withheld as backfill.
        announce: send what belongs to earlier days too; what a changed definition caused is withheld all the same.
        max_age: by cohort, the age at detection above which an event is withheld as too old.
        active: versions of the definitions that count on these days, where any ever changed. What another version
            told is taken back in silence, and what is told in its place is withheld as well.
        announced: definitions whose change is to be sent.

    Returns:
        Columns of ``EVENT_LOG``, sorted by its primary key. A retraction is sent exactly if its original was, and so
        is what becomes true again after a retraction that was sent: the receiver was told the opposite.
    """
    told = latest(log, family)
    order = [name for name in (family.key, "definition_version") if name in facts.columns]
    true_now = facts.sort(order).unique(family.key, keep="first", maintain_order=True)
    believed = told.filter(pl.col("is_true"))
    fresh = _tellings(true_now.join(believed, on=family.key, how="anti"), told, family, newest, announce, announced)
    rows = _too_old(fresh, detected_at, max_age or {})
    if family.retracts:
        rows = pl.concat([rows, _retractions(believed.join(true_now, on=family.key, how="anti"), family)])
    if active is not None and family.scope:
        rows = _in_silence(rows, _of_others(told, active), family.scope)
    stamped = rows.with_columns(pl.lit(detected_at, dtype=pl.Datetime("us", "UTC")).alias("detected_at"))
    return stamped.select(EVENT_LOG.names).sort(EVENT_LOG.primary_key)


def latest(log: pl.DataFrame, family: Family = COHORTS) -> pl.DataFrame:
    """What the log last said of each fact of a family: its row there, and ``is_true`` Boolean. One row a fact."""
    own = log.filter(pl.col(family.key).is_not_null())
    retraction = pl.col("kind").is_in(list(family.retracts.values()))
    ordered = own.with_columns((~retraction).alias("is_true")).sort(
        family.key, "generation", "is_true", descending=[False, False, True]
    )
    return ordered.unique(family.key, keep="last", maintain_order=True)


def _tellings(
    rows: pl.DataFrame,
    told: pl.DataFrame,
    family: Family,
    newest: date,
    announce: bool,
    announced: Collection[str],
) -> pl.DataFrame:
    """Events of facts that are true and not believed, the first time or again."""
    before = told.select(
        family.key, (pl.col("generation") + 1).alias("next"), (pl.col("emission") == "sent").alias("undone_aloud")
    )
    undone_aloud = pl.col("undone_aloud").fill_null(False)
    defined, wanted = pl.lit(False), pl.lit(False)
    if family.caused_by:
        caused = pl.col("caused_by") == DEFINITION
        # A family of cohorts has one definition, whose id stands before the colon.
        wanted = caused & pl.col("cohort_id").str.split(":").list.first().is_in(sorted(announced))
        defined = caused & ~wanted & ~undone_aloud
    due = (pl.lit(announce) | (pl.col("date") == newest) | undone_aloud | wanted) & ~defined
    because = pl.when(defined).then(pl.lit(DEFINITION)).when(~due).then(pl.lit("backfill"))
    absent = [pl.lit(None, dtype=EVENT_LOG.schema[name]).alias(name) for name in _OPTIONAL if name not in rows.columns]
    told_now = (
        rows.join(before, on=family.key, how="left", maintain_order="left")
        .with_columns(
            family.kind.alias("kind"),
            pl.col("next").fill_null(0).alias("generation"),
            pl.when(due).then(pl.lit("sent")).otherwise(pl.lit("withheld")).alias("emission"),
            because.cast(pl.String).alias("withheld_because"),
            pl.lit(None, dtype=pl.String).alias("supersedes"),
            *absent,
        )
        .with_columns(_event_id(family))
    )
    return family.payload(told_now).select(_COMPUTED)


def _retractions(rows: pl.DataFrame, family: Family) -> pl.DataFrame:
    """Events that take back what is believed and no longer true."""
    payloads = [retraction_payload(*pair) for pair in rows.select("payload", "event_id").iter_rows()]
    return (
        rows.with_columns(
            pl.col("event_id").alias("supersedes"),
            pl.col("kind").replace_strict(dict(family.retracts), return_dtype=pl.String),
            pl.Series("payload", payloads, dtype=pl.String),
        )
        .with_columns(_event_id(family))
        .select(_COMPUTED)
    )


def _of_others(told: pl.DataFrame, active: Collection[str]) -> pl.DataFrame:
    """What versions told that do not count any more."""
    version = pl.col("payload").str.json_path_match("$.definition_version")
    return told.filter(~version.is_in(sorted(active)).fill_null(True))


def _in_silence(rows: pl.DataFrame, others: pl.DataFrame, scope: str) -> pl.DataFrame:
    """Withhold what differs only since another version counts: what the old one told, and what replaces it."""
    telling = pl.col("supersedes").is_null()
    replaces = pl.col(scope).is_in(others[scope].unique().implode()) & (pl.col("generation") == 0)
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


def _event_id(family: Family) -> pl.Expr:
    return identifiers([pl.col(family.key), pl.col("kind"), pl.col("generation").cast(pl.String)]).alias("event_id")


_COMPUTED = [name for name in EVENT_LOG.names if name != "detected_at"]
#: Columns that facts of a family may lack.
_OPTIONAL = ("transition_id", "crossing_id", "change_id", "cohort_id", "signal_id")
