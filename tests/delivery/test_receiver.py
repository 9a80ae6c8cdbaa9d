from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from pipelines.delivery import receiver as module
from pipelines.delivery.receiver import (
    MissingSignatureError,
    SignatureError,
    construct_event,
    construct_events,
    respond,
    verify_webhook,
)
from pipelines.delivery.signing import flock_signature, signature_headers
from tests.delivery.receivers import SECRET

NOW = 1767225600
OTHER = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="


def signed(timestamp: int = NOW, secrets: tuple[str, ...] = (SECRET,)) -> tuple[dict[str, str], bytes]:
    body = json.dumps({"id": "evt", "timestamp": timestamp}).encode()
    return signature_headers(secrets, "evt", timestamp, body), body


def test_a_good_request_is_answered_200() -> None:
    headers, body = signed()
    assert respond(SECRET, headers, body, now=NOW) == (200, {"received": True}, [{"id": "evt", "timestamp": NOW}])


def test_a_missing_signature_is_401() -> None:
    _, body = signed()
    assert respond(SECRET, {}, body, now=NOW) == (401, {"error": "Missing signature header"}, [])
    with pytest.raises(MissingSignatureError):
        construct_event(SECRET, None, body, now=NOW)
    with pytest.raises(MissingSignatureError):
        verify_webhook(SECRET, {"webhook-id": "evt"}, body, now=NOW)


@pytest.mark.parametrize("tamper", ["body", "secret", "flock", "standard", "id", "not_ascii"])
def test_anything_that_was_changed_is_400(tamper: str) -> None:
    headers, body = signed()
    secret = OTHER if tamper == "secret" else SECRET
    if tamper == "body":
        body += b" "
    if tamper == "flock":
        headers["X-Flock-Signature"] = "0" * 64
    if tamper == "standard":
        headers["webhook-signature"] = "v1,AAAA v2,BBBB"
    if tamper == "id":
        headers["webhook-id"] = "evt2"
    if tamper == "not_ascii":
        headers["X-Flock-Signature"] = "é" * 64
    status, answer, events = respond(secret, headers, body, now=NOW)
    assert (status, events) == (400, [])
    assert "error" in answer


@pytest.mark.parametrize("age", [-301, 301, 10**9])
def test_too_old_or_too_new_is_400(age: int) -> None:
    headers, body = signed()
    assert respond(SECRET, headers, body, now=NOW + age)[0] == 400
    with pytest.raises(SignatureError, match="too far"):
        construct_event(SECRET, headers["X-Flock-Signature"], body, now=NOW + age)


def test_max_age_is_the_callers() -> None:
    headers, body = signed()
    assert construct_event(SECRET, headers["X-Flock-Signature"], body, max_age=400, now=NOW + 399)["id"] == "evt"


def test_either_of_two_live_secrets_verifies() -> None:
    headers, body = signed(secrets=(OTHER, SECRET))
    assert verify_webhook(SECRET, headers, body, now=NOW)["id"] == "evt"
    assert verify_webhook(OTHER, headers, body, now=NOW)["id"] == "evt"


def test_a_batch_is_a_list_of_events_and_each_is_checked() -> None:
    events = [{"id": "a", "timestamp": NOW}, {"id": "b", "timestamp": NOW}]
    body = json.dumps(events).encode()
    headers = signature_headers([SECRET], "batch_1", NOW, body)
    assert respond(SECRET, headers, body, now=NOW) == (200, {"received": True}, events)
    with pytest.raises(SignatureError, match="batch"):
        construct_event(SECRET, headers["X-Flock-Signature"], body, now=NOW)
    stale = json.dumps([events[0], {"id": "b", "timestamp": NOW - 301}]).encode()
    with pytest.raises(SignatureError, match="too far"):
        construct_events(SECRET, flock_signature(SECRET, stale), stale, now=NOW)


@pytest.mark.parametrize(("timestamp", "taken"), [("2026-01-01T01:00:00+01:00", True), ("2026-01-01T00:00:00", False)])
def test_a_timestamp_may_be_iso_text_with_an_offset(timestamp: str, taken: bool) -> None:
    body = json.dumps({"timestamp": timestamp}).encode()
    headers = {"X-Flock-Signature": flock_signature(SECRET, body)}
    assert (respond(SECRET, headers, body, now=NOW)[0] == 200) is taken


@pytest.mark.parametrize(
    "body", [b"[]", b"[1]", b'{"timestamp": NaN}', b"nothing", b'{"timestamp": true}', b'{"timestamp": "1"}', b"\xff"]
)
def test_a_signed_body_that_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(SignatureError):
        construct_event(SECRET, flock_signature(SECRET, body), body, now=NOW)


def test_the_helper_needs_the_standard_library_alone() -> None:
    tree = ast.parse(Path(module.__file__).read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= set(sys.stdlib_module_names)
