from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from pipelines.delivery.event_pages import HOST, envelope_schema, example, pages
from schemas.events import EVENT_TYPES, json_schema

DOCS = Path(__file__).resolve().parents[2] / "docs"
KINDS = list(EVENT_TYPES)


def validator(schema: dict[str, object]) -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize("path", pages())
def test_the_pages_are_what_make_docs_writes(path: str) -> None:
    assert (DOCS / path).read_text(encoding="utf-8") == pages()[path]


def test_there_is_no_page_of_an_event_that_is_gone() -> None:
    kept = {f"events/{file.name}" for file in (DOCS / "events").iterdir()}
    assert kept == {path for path in pages() if path.startswith("events/")}


@pytest.mark.parametrize("name", KINDS)
def test_examples_are_valid_and_show_every_required_field(name: str) -> None:
    shown = example(name)
    validator(envelope_schema()).validate(shown)
    validator(json_schema(HOST, name)).validate(shown["data"])
    assert set(shown["data"]) <= {field.name for field in EVENT_TYPES[name].fields}
    for required in json_schema(HOST, name)["required"]:
        fewer = {key: value for key, value in shown["data"].items() if key != required}
        assert not validator(json_schema(HOST, name)).is_valid(fewer), required


def test_the_catalogue_has_every_type_of_the_contract() -> None:
    assert set(KINDS) == {
        *("cohort.entered", "cohort.exited", "cohort.entry_retracted", "cohort.exit_retracted"),
        *("signal.threshold_crossed", "signal.crossing_retracted", "export.published", "export.restated"),
        *("endpoint.disabled", "endpoint.recovered", "delivery.exhausted", "endpoint.test"),
        *("campaign.launched", "campaign.ended", "campaign.archived"),
        *("referrer.visited", "referrer.shared", "referrer.copied", "referrer.reward_claimed"),
        *("invitee.visited", "invitee.reward_claimed", "invitee.accepted"),
        *("referral.accepted", "referral.flagged", "referral.rejected", "reward.provisioned", "reward.fulfilled"),
    }


def test_no_example_holds_a_contact_detail() -> None:
    assert not any("@" in json.dumps(example(name)) for name in KINDS)
