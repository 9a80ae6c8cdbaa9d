from __future__ import annotations

import json

import pytest
from sqlalchemy import select

from pipelines.delivery.deliver import Control
from pipelines.delivery.instants import SECOND, micros
from pipelines.delivery.operator import OPERATOR_TYPES, is_operator_type, operator_event, tell_operator
from pipelines.storage.control import writing
from pipelines.storage.control.tables import deliveries
from schemas.events import EVENT_TYPES
from tests.delivery.receivers import NOON, add_endpoint, rows_of

AT = micros(NOON)
FACTS = {
    "endpoint.disabled": {"reason": "gone", "last_status": 410, "waiting": 3},
    "endpoint.recovered": {"failing_since": AT - 60 * SECOND, "failures": 4},
    "delivery.exhausted": {
        "delivery_id": "dl_1",
        "event_id": "e1",
        "event_type": "cohort.entered",
        "reason": "deadline",
        "attempts": 11,
        "last_status": None,
    },
}


@pytest.mark.parametrize("kind", OPERATOR_TYPES)
def test_an_operator_event_keeps_its_contract_and_hides_the_url(control: Control, kind: str) -> None:
    endpoint = add_endpoint(control, "https://example.com/hook/with-a-token?key=1", allow_private=False)
    event = operator_event(kind, endpoint, AT, FACTS[kind])
    data = json.loads(event["data"])
    assert {field.name for field in EVENT_TYPES[kind].fields if field.required} <= data.keys()
    assert (data["host"], event["subject"]) == ("example.com", "endpoint:ep_one")
    assert "token" not in event["data"]
    assert is_operator_type(kind)


def test_instants_are_text_and_what_is_not_known_is_left_out(control: Control) -> None:
    endpoint = add_endpoint(control, "http://127.0.0.1:1/")
    data = json.loads(operator_event("endpoint.recovered", endpoint, AT, FACTS["endpoint.recovered"])["data"])
    assert data["failing_since"] == "2026-01-05T11:59:00.000Z"
    assert "last_status" not in json.loads(
        operator_event("delivery.exhausted", endpoint, AT, FACTS["delivery.exhausted"])["data"]
    )


@pytest.mark.parametrize("facts", [{}, {"reason": "gone", "url": "https://example.com/token"}])
def test_facts_outside_the_contract_are_an_error(control: Control, facts: dict[str, object]) -> None:
    endpoint = add_endpoint(control, "http://127.0.0.1:1/")
    with pytest.raises(ValueError, match=r"endpoint.disabled"):
        operator_event("endpoint.disabled", endpoint, AT, facts)


def test_only_who_asks_for_them_is_told_once_and_never_about_itself(control: Control) -> None:
    failing = add_endpoint(control, "http://127.0.0.1:1/", "ep_failing", event_types=("*", "endpoint.*"))
    add_endpoint(control, "http://127.0.0.1:2/", "ep_all", event_types=("*",))
    add_endpoint(control, "http://127.0.0.1:3/", "ep_operator", event_types=("endpoint.*", "delivery.exhausted"))
    event = operator_event("endpoint.disabled", failing, AT, FACTS["endpoint.disabled"])
    for expected in (1, 0):
        with writing(control.engine) as connection:
            assert tell_operator(connection, event, AT) == expected
    assert [row["endpoint_id"] for row in rows_of(control, select(deliveries))] == ["ep_operator"]


def test_two_deliveries_given_up_at_once_are_two_events(control: Control) -> None:
    endpoint = add_endpoint(control, "http://127.0.0.1:1/")
    made = [
        operator_event("delivery.exhausted", endpoint, AT, FACTS["delivery.exhausted"], about=name)["event_id"]
        for name in ("dl_1", "dl_2", "dl_1")
    ]
    assert made[0] == made[2] != made[1]
