from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.config import Tenant
from pipelines.delivery.referral_source import receive_referral, referral_secrets
from pipelines.delivery.signing import flock_signature
from pipelines.entities.steps import publish_dimensions
from pipelines.errors import UsageError
from pipelines.landing.inbox import glance, land_drops
from pipelines.landing.received import join, received_folder
from tests.delivery.receivers import SECRET

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
OLD = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
SHAPE_A = {
    "name": "referral.accepted",
    "entity": "referral",
    "entityId": "ref-1",
    "data": {
        "campaignId": "camp-1",
        "referrer": {"id": "c-1"},
        "invitee": {"id": "c-2"},
        "inviteeReward": {"id": "rwd-2"},
        "referrerReward": {"id": "rwd-1"},
    },
    "timestamp": int(NOW.timestamp()),
}
SHAPE_B = {
    "entity": "referral",
    "entityId": "ref-2",
    "organizationId": "org-1",
    "applicationId": "app-1",
    "campaignId": "camp-1",
    "name": "referral.sparkled",
    "description": "A referral sparkled",
    "timestamp": "2026-01-05T13:00:00+01:00",
}


def post(tenant: Tenant, body: Any, secret: str = SECRET, **changes: Any) -> tuple[int, dict[str, Any]]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = changes.pop("headers", {"X-Flock-Signature": flock_signature(secret, raw)})
    return receive_referral(tenant, headers, raw, secrets=[SECRET, OLD], **{"now": NOW.timestamp(), **changes})


def waiting(tenant: Tenant) -> list[Path]:
    return sorted(received_folder(tenant).rglob("*.json"))


def landed(tenant: Tenant) -> pl.DataFrame:
    look = land_drops(tenant, lambda: datetime.now(UTC) + timedelta(hours=1))
    assert not look.failed
    publish_dimensions(tenant, ["referral_events"])
    return tenant.lake.read("referral_events").sort("entity_id")


def test_both_shapes_are_taken_in_and_unknown_names_are_kept(tenant: Tenant) -> None:
    assert post(tenant, SHAPE_A) == post(tenant, SHAPE_B) == (200, {"received": True})
    rows = landed(tenant)
    shown = rows.select("name", "entity_id", "shape", "campaign_id", "referrer_id", "invitee_reward_id").rows()
    assert shown == [
        ("referral.accepted", "ref-1", "A", "camp-1", "c-1", "rwd-2"),
        ("referral.sparkled", "ref-2", "B", "camp-1", None, None),
    ]
    assert rows["occurred_at"].to_list() == [NOW, NOW]
    assert rows["organization_id"].to_list() == [None, "org-1"]
    assert waiting(tenant) == []


def test_a_list_of_events_is_taken_in(tenant: Tenant) -> None:
    assert post(tenant, [SHAPE_A, SHAPE_B])[0] == 200
    assert landed(tenant).height == 2


def test_it_is_stored_before_it_is_answered_and_waits_for_a_look(tenant: Tenant) -> None:
    post(tenant, SHAPE_A)
    (file,) = waiting(tenant)
    assert json.loads(file.read_bytes()) == SHAPE_A
    due, _ = glance(tenant, datetime.now(UTC) + timedelta(hours=1))
    assert [drop.entity for drop in due] == ["referral_events"]


def test_the_same_body_twice_is_one_record_before_and_after_it_landed(tenant: Tenant) -> None:
    post(tenant, SHAPE_A)
    post(tenant, SHAPE_A)
    assert len(waiting(tenant)) == 1
    assert landed(tenant).height == 1
    post(tenant, SHAPE_A)
    assert landed(tenant).height == 1


def test_a_disk_that_does_not_take_it_is_not_answered_200(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipelines.landing.received.create_bytes", full)
    with pytest.raises(OSError, match="No space"):
        post(tenant, SHAPE_A)


def test_what_is_not_signed_is_not_stored(tenant: Tenant) -> None:
    assert post(tenant, SHAPE_A, headers={}) == (401, {"error": "Missing signature header"})
    assert post(tenant, SHAPE_A, secret="whsec_other") == (400, {"error": "Invalid signature"})
    assert post(tenant, b"nothing")[0] == 400
    assert post(tenant, SHAPE_A, now=NOW.timestamp() + 90_000)[0] == 400
    assert post(tenant, b"x" * 1_048_577)[0] == 413
    assert not received_folder(tenant).exists()


def test_the_secret_of_before_is_taken_while_it_is_exchanged(tenant: Tenant) -> None:
    assert post(tenant, SHAPE_A, secret=OLD)[0] == 200


def test_secrets_come_from_the_variables_that_the_tenant_names(tenant: Tenant, workspace: Any) -> None:
    with pytest.raises(UsageError, match=r"referrals\.secret_env"):
        referral_secrets(tenant, {})
    with (tenant.folder / "tenant.yaml").open("a") as file:
        file.write("referrals: {secret_env: NEW, previous_secret_env: OLD}\n")
    named = workspace.tenant("acme")
    assert referral_secrets(named, {"NEW": "a", "OLD": "b"}) == ["a", "b"]
    with pytest.raises(UsageError, match="OLD, which is not set"):
        referral_secrets(named, {"NEW": "a"})


def test_many_bodies_land_as_one_batch_and_a_list_as_its_own(tenant: Tenant) -> None:
    for number in range(20):
        post(tenant, {**SHAPE_A, "entityId": f"ref-{number}"})
    post(tenant, [SHAPE_B])
    look = land_drops(tenant, lambda: datetime.now(UTC) + timedelta(hours=1))
    assert sorted(receipt.received for receipt in look.receipts) == [1, 20]
    assert list(received_folder(tenant).rglob("*.*json")) == []


def test_bodies_that_a_killed_run_left_beside_their_joined_file_are_duplicates(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        post(tenant, {**SHAPE_A, "entityId": f"ref-{number}"})

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("pipelines.landing.received.os.utime", killed)
        join(tenant)
    assert len(waiting(tenant)) == 3
    assert len(list(received_folder(tenant).rglob("*.ndjson"))) == 1
    assert landed(tenant).height == 3
