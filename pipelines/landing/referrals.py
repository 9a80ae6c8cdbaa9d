"""Flock's two referral payload shapes, flattened to the columns of referral_events before they are typed.

Shape A: ``name, entity, entityId``, ``data`` with ``campaignId`` and the ids of ``referrer``, ``invitee``,
``inviteeReward`` and ``referrerReward``, and ``timestamp`` in epoch seconds. Shape B: ``entity, entityId,
organizationId, applicationId, campaignId, name`` and an ISO ``timestamp``. A record that has the flat columns already
passes through.
"""

from __future__ import annotations

import polars as pl

#: Keys of the two shapes that are no columns of referral_events.
SOURCE_KEYS = ("entity", "entityId", "data", "timestamp", "campaignId", "organizationId", "applicationId")

_INSIDE_DATA = {
    "campaign_id": "$.campaignId",
    "referrer_id": "$.referrer.id",
    "invitee_id": "$.invitee.id",
    "invitee_reward_id": "$.inviteeReward.id",
    "referrer_reward_id": "$.referrerReward.id",
}
_RENAMED = {
    "occurred_at": "timestamp",
    "referral_entity": "entity",
    "entity_id": "entityId",
    "campaign_id": "campaignId",
    "organization_id": "organizationId",
    "application_id": "applicationId",
}


def flatten(frame: pl.DataFrame) -> pl.DataFrame:
    """Fill the flat columns from the shape's keys and drop those keys.

    Args:
        frame: all columns String; the flat columns and ``SOURCE_KEYS``.

    Returns:
        The frame with the flat columns only; ``shape`` is A when there is ``data`` or a numeric timestamp, else B.
    """
    raw = pl.col("entityId").is_not_null()
    numeric = pl.col("timestamp").str.contains(r"^-?[0-9.]+$").fill_null(False)
    shape = pl.when(pl.col("data").is_not_null() | numeric).then(pl.lit("A")).otherwise(pl.lit("B"))
    inside = frame.with_columns(
        pl.coalesce(name, pl.when(pl.col("data").str.starts_with("{")).then(pl.col("data").str.json_path_match(path)))
        for name, path in _INSIDE_DATA.items()
    )
    return inside.with_columns(
        pl.coalesce("shape", pl.when(raw).then(shape)),
        *(pl.coalesce(name, key) for name, key in _RENAMED.items()),
    ).drop(SOURCE_KEYS)
