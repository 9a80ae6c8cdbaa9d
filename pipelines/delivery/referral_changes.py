"""Changes in the referral programme: states of campaigns, referrals and rewards, and acts of people, one row a change.

Folded from ``referral_events`` and the versions of ``campaigns`` in the order of the data, whatever the order of
arrival. A day is decided by what is said up to its end. Telling it is ``event_log``'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any

import polars as pl

from pipelines.calendar import day_of, local_date
from pipelines.config import Tenant
from pipelines.step import Writers, publish
from pipelines.storage.hashing import identifiers
from pipelines.storage.lake import Commit
from schemas.tables import REFERRAL_CHANGES
from schemas.tables.referrals import ACTS, STATES

TABLE = REFERRAL_CHANGES.name
_INSTANT = pl.Datetime("us", "UTC")
_NAMED = ("campaign_id", "referrer_id", "invitee_id", "invitee_reward_id", "referrer_reward_id")
_OWNERS = ("organization_id", "application_id")
#: Rows before they are folded: what was said when (``at``), and from when on it is so.
_SAID = pl.Schema(
    {
        **{name: pl.String() for name in ("kind", "entity", "entity_id")},
        **{name: _INSTANT for name in ("at", "effective_at")},
        **{name: pl.String() for name in (*_NAMED, *_OWNERS)},
    }
)
#: Status of a campaign -> the state that it says, and the column that says since when; and those it passed through.
_CAMPAIGN = (
    ("campaign.launched", "launched_at", ("live",), ("paused", "ended", "archived")),
    ("campaign.ended", "ended_at", ("ended",), ("archived",)),
    ("campaign.archived", "archived_at", ("archived",), ()),
)


def run_referral_changes(tenant: Tenant, days: Sequence[date]) -> dict[str, Commit]:
    """Publish ``referral_changes`` of the days.

    Raises:
        ContractError: a row violates the contract; nothing is published.
    """

    def fill(writers: Writers) -> None:
        end = day_of(max(days), tenant.zone).end
        events = tenant.lake.scan("referral_events").filter(pl.col("occurred_at") < end).collect()
        past = tenant.lake.scan("campaigns_history").filter(pl.col("effective_from") < end).collect()
        found = changes(tenant.id, events, past).with_columns(local_date(pl.col("at"), tenant.zone).alias("date"))
        rows = named(found, events, tenant).select(REFERRAL_CHANGES.names)
        for day in days:
            writers[TABLE].put(day, rows.filter(pl.col("date") == day).sort(REFERRAL_CHANGES.primary_key))

    return publish(tenant, (TABLE,), fill)


def changes(tenant_id: str, events: pl.DataFrame, past: pl.DataFrame) -> pl.DataFrame:
    """Every change that the records say.

    Args:
        tenant_id: part of the ids.
        events: rows of ``referral_events``.
        past: rows of ``campaigns_history``.

    Returns:
        Columns of ``REFERRAL_CHANGES`` but ``date``, and ``at``: when it was said. In no order.
    """
    said = _said(events)
    acts = said.filter(pl.col("kind").is_in(ACTS)).unique()
    acts = acts.with_columns(pl.col("at").to_physical().cast(pl.String).alias("number"))
    moved = [_folded(said.filter(pl.col("kind").is_in(STATES[group]))) for group in ("referral", "reward")]
    launched = said.filter(pl.col("kind").is_in(STATES["campaign"]))
    rows = pl.concat([acts, *moved, _campaigns(launched, past)])
    parts = [pl.lit(tenant_id), *(pl.col(name) for name in ("kind", "entity_id", "number"))]
    return rows.with_columns(identifiers(parts).alias("change_id"))


def named(found: pl.DataFrame, events: pl.DataFrame, tenant: Tenant) -> pl.DataFrame:
    """Fill in whom a record of shape B is about, from the first record of shape A about the same thing by that day."""
    known = events.filter(pl.col("shape") == "A").sort("occurred_at", "external_id")
    days = local_date(pl.col("occurred_at"), tenant.zone)
    rows = found
    for name in _NAMED:
        first = (
            known.filter(pl.col(name).is_not_null())
            .select("entity_id", days.alias("since"), pl.col(name).alias("known"))
            .unique("entity_id", keep="first", maintain_order=True)
        )
        rows = (
            rows.join(first, on="entity_id", how="left")
            .with_columns(
                pl.coalesce(name, pl.when(pl.col("since") <= pl.col("date")).then("known")).alias(name),
            )
            .drop("since", "known")
        )
    return rows


def _said(events: pl.DataFrame) -> pl.DataFrame:
    group = pl.col("name").str.split(".").list.first()
    return events.select(
        pl.col("name").alias("kind"),
        pl.coalesce("referral_entity", group).alias("entity"),
        "entity_id",
        pl.col("occurred_at").alias("at"),
        pl.col("occurred_at").alias("effective_at"),
        *_NAMED,
        *_OWNERS,
    ).cast(_SAID)


def _folded(said: pl.DataFrame) -> pl.DataFrame:
    """The first of each run of equal states of a thing, with the number of such runs before it."""
    ordered = said.sort("entity_id", "at", "kind", *_NAMED, nulls_last=True)
    new = (pl.col("kind") != pl.col("kind").shift(1).over("entity_id")).fill_null(True)
    number = pl.col("kind").cum_count().over("entity_id", "kind").cast(pl.Int64) - 1
    return ordered.filter(new).with_columns(number.cast(pl.String).alias("number"))


def _campaigns(said: pl.DataFrame, past: pl.DataFrame) -> pl.DataFrame:
    """States of campaigns by their records and by events; a state that was passed through unseen counts as well."""
    rows = [
        *((row["entity_id"], row["at"], rank, False, row) for rank, row in _ranked(said)),
        *(item for version in past.iter_rows(named=True) for item in _of_version(version)),
    ]
    found: list[dict[str, Any]] = []
    last: dict[str, str] = {}
    counts: dict[tuple[str, str], int] = {}
    for campaign, _, _, passed, row in sorted(rows, key=lambda item: item[:4]):
        kind = row["kind"]
        if last.get(campaign) == kind or (passed and (campaign, kind) in counts):
            continue
        number = counts.get((campaign, kind), 0)
        counts[campaign, kind], last[campaign] = number + 1, kind
        found.append({**row, "number": str(number)})
    return pl.DataFrame(found, schema={**_SAID, "number": pl.String()})


def _ranked(said: pl.DataFrame) -> Iterator[tuple[int, dict[str, Any]]]:
    ranks = {kind: rank for rank, (kind, *_) in enumerate(_CAMPAIGN)}
    for row in said.sort("entity_id", "at", "kind", *_NAMED, nulls_last=True).iter_rows(named=True):
        yield ranks[row["kind"]], {**row, "entity": "campaign", "campaign_id": row["campaign_id"] or row["entity_id"]}


def _of_version(version: dict[str, Any]) -> Iterator[tuple[str, datetime, int, bool, dict[str, Any]]]:
    """States that a version of a campaign says, with whether it only says that they were passed through."""
    if version["is_deleted"]:
        return
    campaign, at = version["external_id"], version["effective_from"]
    for rank, (kind, since, now, later) in enumerate(_CAMPAIGN):
        passed = version["status"] in later and version[since] is not None
        if version["status"] not in now and not passed:
            continue
        began = version[since]
        row = {
            "kind": kind,
            "entity": "campaign",
            "entity_id": campaign,
            "at": at,
            # A record may say it later than it happened, never before.
            "effective_at": began if began is not None and began <= at else at,
            "campaign_id": campaign,
            **{name: version[name] for name in _OWNERS},
        }
        yield campaign, at, rank, passed, row
