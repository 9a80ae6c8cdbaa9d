from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.delivery.envelope import Event, TooLargeError, encode, envelope
from pipelines.delivery.receiver import construct_event, verify_webhook
from pipelines.delivery.signing import key_of, make_secret, signature_headers
from pipelines.errors import UsageError
from schemas.events import CONTENT_TYPE, ENVELOPE, MAX_BYTES

VECTOR = json.loads((Path(__file__).parent / "vector.json").read_text())
BODY = VECTOR["body"].encode()
EVENT = Event("evt_1", "acme", "cohort.entered", "fv_1", 1767225598123000, 1767225599000001, 42, '{"cohort_id":"x"}')


def test_the_check_vector_is_reproduced_byte_for_byte() -> None:
    headers = signature_headers(
        [VECTOR["secret"], VECTOR["old_secret"]], VECTOR["webhook_id"], VECTOR["webhook_timestamp"], BODY
    )
    made = {name.lower(): value for name, value in headers.items()} | {"content-type": CONTENT_TYPE}
    assert made == {**VECTOR["headers"], "idempotency-key": VECTOR["webhook_id"]}
    assert make_secret(bytes(range(32))) == VECTOR["secret"]


def test_the_body_of_the_vector_is_written_as_we_write_bodies() -> None:
    assert len(BODY) == 565
    assert encode(json.loads(BODY)) == BODY


@pytest.mark.parametrize("secret", [VECTOR["secret"], VECTOR["old_secret"]])
def test_the_helper_takes_the_vector_with_either_live_secret(secret: str) -> None:
    event = verify_webhook(secret, VECTOR["headers"], BODY, now=VECTOR["webhook_timestamp"])
    assert event["id"] == VECTOR["webhook_id"]


def test_the_helper_takes_the_flock_signature_of_the_vector() -> None:
    signature = VECTOR["headers"]["x-flock-signature"]
    assert construct_event(VECTOR["secret"], signature, BODY, now=1767225600)["subject"] == "fv_8c1f"


def test_the_envelope_has_every_attribute_in_order() -> None:
    body = envelope(EVENT, "murmuration.example", 1767225600)
    assert tuple(body) == ENVELOPE
    assert body["source"] == "https://murmuration.example/tenants/acme"
    assert body["time"] == "2025-12-31T23:59:58.123Z"
    assert body["recordedtime"] == "2025-12-31T23:59:59.000001Z"
    assert body["sequence"] == "000000000000000042"
    assert body["partitionkey"] == body["subject"] == "fv_1"
    assert body["dataschema"] == "https://murmuration.example/schemas/events/cohort.entered/1.0.json"
    assert body["timestamp"] == 1767225600


def test_a_number_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode({"data": float("nan")})


def test_a_body_above_64_kib_is_refused() -> None:
    assert len(encode({"data": "x" * (MAX_BYTES - 11)})) == MAX_BYTES
    with pytest.raises(TooLargeError):
        encode({"data": "x" * (MAX_BYTES - 10)})


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!!!", "AAECAwQFBgcICQoLDA0ODw==", "whsec_AAEC"])
def test_a_secret_of_another_form_is_refused_without_being_repeated(secret: str) -> None:
    with pytest.raises(UsageError) as raised:
        key_of(secret)
    assert not secret or secret == "whsec_" or secret not in str(raised.value)
