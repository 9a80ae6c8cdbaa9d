"""Events of the referral programme, by the names that Flock gives them."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.events.model import EventType, Field
from schemas.tables import REFERRAL_KINDS

_FIELDS = (
    Field("change_id", "string", required=True, description="The change, the same in every destination."),
    Field("entity", "string", required=True, description="Kind of the thing that the event is about."),
    Field("entity_id", "string", required=True, description="Its id."),
    Field("campaign_id", "string", description="Campaign."),
    Field("referrer_id", "string", description="Customer who refers, where known."),
    Field("invitee_id", "string", description="Customer who was invited, where known."),
    Field("invitee_reward_id", "string", description="Reward of the invitee."),
    Field("referrer_reward_id", "string", description="Reward of the referrer."),
    Field("organization_id", "string", description="Flock's organisation."),
    Field("application_id", "string", description="Flock's application."),
)
_CHANGE = "c2d47e90ab315f68d7093b1e6a5c8f42"
_DESCRIPTIONS: Mapping[str, str] = {
    "campaign.launched": "A campaign went live.",
    "campaign.ended": "A campaign ended.",
    "campaign.archived": "A campaign was archived.",
    "referrer.visited": "A referrer visited the programme.",
    "referrer.shared": "A referrer shared an invitation.",
    "referrer.copied": "A referrer copied an invitation.",
    "referrer.reward_claimed": "A referrer claimed a reward.",
    "invitee.visited": "An invitee visited.",
    "invitee.reward_claimed": "An invitee claimed a reward.",
    "invitee.accepted": "An invitee accepted an invitation.",
    "referral.accepted": "A referral was accepted.",
    "referral.flagged": "A referral was flagged, until it is accepted or rejected.",
    "referral.rejected": "A referral was rejected.",
    "reward.provisioned": "A reward was provisioned.",
    "reward.fulfilled": "A reward was fulfilled.",
}


def _event_type(name: str) -> EventType:
    if name.startswith("campaign."):
        example = {"entity": "campaign", "entity_id": "camp-7", "campaign_id": "camp-7"}
        subject = "campaign:camp-7"
    else:
        people = {"referrer_id": "c-1042", "invitee_id": "c-2210", "campaign_id": "camp-7"}
        entity = "reward" if name.startswith("reward.") else "referral"
        rewards = {"referrer_reward_id": "rwd-31"} if "reward" in name else {}
        example = {"entity": entity, "entity_id": "ref-88", **people, **rewards}
        subject = "customer:c-2210" if name.startswith("invitee.") else "customer:c-1042"
    return EventType(name, _FIELDS, _DESCRIPTIONS[name], subject, {"change_id": _CHANGE, **example})


REFERRAL_EVENTS: tuple[EventType, ...] = tuple(_event_type(name) for name in REFERRAL_KINDS)
