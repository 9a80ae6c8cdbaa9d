from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from pipelines.config import Tenant
from pipelines.delivery.referral_changes import changes, run_referral_changes
from schemas.entities import ENTITIES

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
EVENTS = ENTITIES["referral_events"].contract
PAST = ENTITIES["campaigns"].history_contract
HOUR = timedelta(hours=1)


def event(name: str, hours: float = 0, entity_id: str = "ref-1", shape: str = "A", **people: Any) -> dict[str, Any]:
    at = NOON + hours * HOUR
    return {
        "external_id": f"{name}/{entity_id}/{hours}",
        "name": name,
        "occurred_at": at,
        "referral_entity": "referral",
        "entity_id": entity_id,
        "shape": shape,
        **people,
    }


def version(status: str, hours: float = 0, campaign: str = "camp-1", **columns: Any) -> dict[str, Any]:
    at = NOON + hours * HOUR
    kept = {"external_id": campaign, "status": status, "effective_from": at, "updated_at": at, "is_deleted": False}
    return {**kept, "version_hash": f"{hours}", **columns}


def folded(events: list[dict[str, Any]], past: list[dict[str, Any]] | None = None) -> list[tuple[str, float]]:
    """Kinds of change and the hours from noon at which they became true, in order."""
    found = changes("acme", pl.DataFrame(events, schema=EVENTS.schema), pl.DataFrame(past or [], schema=PAST.schema))
    assert found["change_id"].n_unique() == found.height
    rows = found.sort("effective_at", "at", "kind").select("kind", "effective_at").rows()
    return [(kind, (at - NOON) / HOUR) for kind, at in rows]


def test_a_state_that_is_said_again_is_one_change() -> None:
    said = [event("referral.flagged", 1), event("referral.flagged", 2), event("referral.accepted", 3)]
    assert folded(said) == [("referral.flagged", 1), ("referral.accepted", 3)]


def test_a_state_that_is_reached_again_is_another_change() -> None:
    said = [event("referral.flagged", 1), event("referral.rejected", 2), event("referral.flagged", 3)]
    assert folded(said) == [("referral.flagged", 1), ("referral.rejected", 2), ("referral.flagged", 3)]


def test_things_do_not_mix() -> None:
    said = [event("reward.provisioned", 1, "a"), event("reward.provisioned", 2, "b"), event("reward.fulfilled", 3, "a")]
    assert len(folded(said)) == 3


def test_each_act_is_a_change_and_unknown_names_are_none() -> None:
    said = [event("referrer.shared", 1), event("referrer.shared", 2), event("referral.sparkled", 3)]
    assert folded(said) == [("referrer.shared", 1), ("referrer.shared", 2)]


def test_what_is_found_earlier_keeps_its_id() -> None:
    def ids(*events: dict[str, Any]) -> list[str]:
        frame = pl.DataFrame(list(events), schema=EVENTS.schema)
        return changes("acme", frame, PAST.empty()).sort("at")["change_id"].to_list()

    late = event("referral.flagged", 1)
    assert ids(event("referral.flagged", 2)) == ids(late) == ids(late, event("referral.flagged", 2))


def test_the_order_of_records_does_not_matter() -> None:
    said = [event(name, hours, thing) for thing in "ab" for hours, name in enumerate(("referral.flagged",) * 3)]
    said += [event("referral.accepted", 1.5, "a"), event("referrer.copied", 1), event("campaign.launched", 2, "camp-1")]
    past = [version("live", 1), version("ended", 9), version("live", 3, "camp-2")]
    expected = folded(said, past)
    for seed in range(5):
        random.Random(seed).shuffle(said)
        random.Random(seed).shuffle(past)
        assert folded(said, past) == expected


def test_a_campaign_is_launched_and_ended_once_whatever_versions_say_so() -> None:
    past = [version("draft"), version("live", 1), version("paused", 2), version("live", 3), version("ended", 4)]
    assert folded([], past) == [("campaign.launched", 1), ("campaign.ended", 4)]


def test_a_campaign_that_is_launched_again_is_told_again() -> None:
    past = [version("live", 1), version("ended", 2), version("live", 3)]
    assert folded([], past) == [("campaign.launched", 1), ("campaign.ended", 2), ("campaign.launched", 3)]


def test_states_that_a_campaign_passed_through_unseen_are_told_with_their_own_instants() -> None:
    past = [
        version("archived", 9, launched_at=NOON + HOUR, ended_at=NOON + 4 * HOUR),
        version("archived", 10, launched_at=NOON + HOUR, ended_at=NOON + 4 * HOUR, name="again"),
    ]
    assert folded([], past) == [("campaign.launched", 1), ("campaign.ended", 4), ("campaign.archived", 9)]


def test_a_record_and_an_event_of_the_same_launch_are_one_change() -> None:
    past = [version("live", 2), version("ended", 5, launched_at=NOON)]
    said = [event("campaign.launched", 1, "camp-1"), event("campaign.ended", 6, "camp-1")]
    assert folded(said, past) == [("campaign.launched", 1), ("campaign.ended", 5)]


def test_what_is_planned_has_not_happened() -> None:
    assert folded([], [version("scheduled", 1, launched_at=NOON + 9 * HOUR)]) == []
    late = [version("live", 1, launched_at=NOON + 9 * HOUR)]
    assert folded([], late) == [("campaign.launched", 1)]


def test_a_deleted_campaign_is_not_launched() -> None:
    assert folded([], [version("live", 1, is_deleted=True)]) == []


def write(tenant: Tenant, events: list[dict[str, Any]], past: list[dict[str, Any]]) -> None:
    for table, contract, rows in (("referral_events", EVENTS, events), ("campaigns_history", PAST, past)):
        with tenant.lake.writer(table) as writer:
            frame = pl.DataFrame(rows, schema=contract.schema)
            required = {c.name: "-" for c in contract if c.required and c.dtype == pl.String}
            writer.put(None, frame.with_columns(pl.col(name).fill_null(text) for name, text in required.items()))


@pytest.fixture
def filled(tenant: Tenant) -> Tenant:
    said = [
        event("referrer.shared", 1, referrer_id="c-1", campaign_id="camp-1"),
        event("referral.accepted", 2, shape="B"),
        event("referral.accepted", 2, "ref-2", shape="B"),
        event("invitee.visited", 40, "ref-2", invitee_id="c-2"),
    ]
    write(tenant, said, [version("live", 1, type="referral", channel="email", name="x", created_at=NOON)])
    return tenant


def test_shape_b_is_about_whom_shape_a_names_by_the_end_of_the_day(filled: Tenant) -> None:
    days = [date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 7)]
    run_referral_changes(filled, days)
    rows = filled.lake.read("referral_changes").filter(kind="referral.accepted").sort("entity_id")
    assert rows.select("entity_id", "referrer_id", "campaign_id", "invitee_id").rows() == [
        ("ref-1", "c-1", "camp-1", None),
        ("ref-2", None, None, None),
    ]
    assert filled.lake.rows("referral_changes") == {days[0]: 4, days[1]: 0, days[2]: 1}


def test_a_day_computed_alone_equals_the_day_in_a_range(filled: Tenant) -> None:
    days = [date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 7)]
    run_referral_changes(filled, days)
    for day in days:
        assert run_referral_changes(filled, [day])["referral_changes"].changed == ()
