"""What platforms are told of an event."""

from __future__ import annotations

import pytest

from pipelines.delivery.cdp.track import CROSSED, ENTERED, EXITED, tracked
from tests.delivery.cdp.events import AT, NAMES, event


@pytest.mark.parametrize(
    ("kind", "name", "instant", "member"),
    [
        ("cohort.entered", ENTERED, "entered_at", True),
        ("cohort.exited", EXITED, "exited_at", False),
        ("cohort.entry_retracted", EXITED, "exited_at", False),
        ("cohort.exit_retracted", ENTERED, "entered_at", True),
    ],
)
def test_a_retraction_is_the_opposite_event(kind, name, instant, member):
    superseded = {"supersedes": "evt_0"} if "retracted" in kind else {}
    found = tracked(event(kind, **superseded), NAMES)
    assert (found.name, found.message_id, found.at) == (name, "evt_01JD0000000000000000000001", AT)
    assert found.properties[instant] == "2025-12-31T23:59:58.123Z"
    assert found.properties.get("supersedes") == superseded.get("supersedes")
    assert found.trait == ("flockr_high_value_cart_abandoner", member)


def test_who_it_is():
    def who(found):
        return found.anonymous_id, found.user_id, found.is_product

    assert who(tracked(event(external_id="c-1"), NAMES)) == ("fv_8c1f", "c-1", False)
    alone = event(subject="customer:c-1", flockr_vid=None, external_id="c-1")
    assert who(tracked(alone, NAMES)) == (None, "c-1", False)
    product = tracked(event("signal.threshold_crossed", subject="product:sku-1"), NAMES)
    assert who(product) == ("flockr:product:sku-1", None, True)
    assert who(tracked(event("signal.threshold_crossed", subject="fv_1"), NAMES)) == ("fv_1", None, False)


def test_a_crossing_and_its_retraction():
    found = tracked(event("signal.threshold_crossed", subject="product:sku-1"), NAMES)
    back = tracked(event("signal.crossing_retracted", subject="product:sku-1", supersedes="evt_0"), NAMES)
    assert (found.name, back.name, found.trait, back.trait) == (CROSSED, CROSSED, None, None)
    assert (found.properties["from_state"], found.properties["value_after"]) == ("healthy", 6.5)
    assert (back.properties["from_state"], back.properties["to_state"]) == ("low", "healthy")
    assert (back.properties["value_before"], back.properties["value_after"]) == (6.5, 8.5)
    assert back.properties["supersedes"] == "evt_0"


def test_a_family_is_named_by_its_definition_and_other_events_are_not_told():
    found = tracked(event(cohort_id="category_affinity:home > garden"), {"category_affinity": "Affinity"})
    assert found.properties["cohort_name"] == "Affinity"
    assert found.trait == ("flockr_category_affinity_home > garden", True)
    assert tracked(event("endpoint.disabled"), NAMES) is None


def test_amounts_without_a_cart_keep_their_currency():
    found = tracked(event(cart_total_value="", cart_total_value_minor="", ltv="10.05", ltv_minor=1005), NAMES)
    assert (found.properties["ltv"], found.properties["currency"]) == (10.05, "GBP")
    assert "cart_currency" not in found.properties
