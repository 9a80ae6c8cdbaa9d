"""The referral programme: what became of campaigns, referrals and rewards, and what people did, one row a change."""

from __future__ import annotations

from schemas.contract import Column, Contract

#: Kinds of change that are told, by what they are about; other names are kept in ``referral_events``.
STATES: dict[str, tuple[str, ...]] = {
    "campaign": ("campaign.launched", "campaign.ended", "campaign.archived"),
    "referral": ("referral.accepted", "referral.flagged", "referral.rejected"),
    "reward": ("reward.provisioned", "reward.fulfilled"),
}
ACTS: tuple[str, ...] = (
    "referrer.visited",
    "referrer.shared",
    "referrer.copied",
    "referrer.reward_claimed",
    "invitee.visited",
    "invitee.reward_claimed",
    "invitee.accepted",
)
REFERRAL_KINDS: tuple[str, ...] = (
    *STATES["campaign"],
    *ACTS,
    *STATES["referral"],
    *STATES["reward"],
)

REFERRAL_CHANGES = Contract(
    name="referral_changes",
    description=(
        "A change of state of a campaign, a referral or a reward, or something that a referrer or an invitee did. A"
        " state that is said again without another one in between is one change."
    ),
    primary_key=("date", "change_id"),
    columns=(
        Column("date", "date", required=True, description="Tenant day of the record that says so."),
        Column(
            "change_id",
            "string",
            required=True,
            description="Hash of tenant, kind and entity, and of how often it came to that state, or of the instant.",
        ),
        Column("kind", "string", required=True, enum=REFERRAL_KINDS),
        Column("entity", "string", required=True, description="Kind of the thing that it is about."),
        Column("entity_id", "string", required=True),
        Column("effective_at", "timestamp", required=True, description="Instant of the data at which it became true."),
        Column("campaign_id", "string"),
        Column("referrer_id", "string", description="Customer; of shape B as a record of shape A names it by the day."),
        Column("invitee_id", "string", description="Customer, likewise."),
        Column("invitee_reward_id", "string"),
        Column("referrer_reward_id", "string"),
        Column("organization_id", "string"),
        Column("application_id", "string"),
    ),
)
