"""The gallery page is what the catalogue says now, and its drawings and examples follow the parameters."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pipelines.cohorts.language.gallery import page, section
from pipelines.cohorts.language.pictures import picture
from tests.cohorts.language.support import catalogue, cohort

PAGE = Path(__file__).resolve().parents[3] / "docs" / "cohorts.md"


def test_the_page_is_the_catalogue():
    assert PAGE.read_text(encoding="utf-8") == page(catalogue()), "run: make docs"


def test_every_cohort_has_words_a_drawing_its_file_and_a_transition():
    found = catalogue()
    for key, each in found.items():
        text = section(each, found)
        assert each.description in text and "**Enters:**" in text and "├" in text
        assert f"```yaml\nid: {key}\n" in text
        row = json.loads(re.findall(r"```json\n(.*)\n", text)[0])
        assert row["cohort_id"].partition(":")[0] == key and row["direction"] == "entered"


def test_the_entry_of_the_example_waits_as_long_as_the_rule_says():
    found = catalogue()
    waits = {"cart_abandoner": "10:30:00", "high_value_cart_abandoner": "10:30:00", "checkout_abandoner": "11:00:00"}
    for key, time in waits.items():
        assert f'"effective_at": "2026-03-02T{time}Z", "caused_by": "silence"' in section(found[key], found)
    silence = found["cart_abandoner"].params["silence"].model_copy(update={"value": "45m"})
    slower = found["cart_abandoner"].model_copy(
        update={"params": {**found["cart_abandoner"].params, "silence": silence}}
    )
    assert "T10:45:00Z" in section(slower, found)
    assert "T23:59:59.999999Z" in section(found["vip"], found)


@pytest.mark.parametrize(
    ("rule", "more", "drawn"),
    [
        (
            "{all: [{value: {count: order, within: $week}, at_least: $n}, "
            "{value: {count: link_click, within: $month}, at_least: $m}]}",
            {},
            "orders               ├ 7 days ┤ now\nclicks ├────────────── 30 days ───────────────┤ now",
        ),
        (
            "{without: [add], after: view, within: $short}",
            {"subject": "visitor", "ttl": "$week"},
            "view ├ 30 minutes, no add to bag ▶ enters\nview ├ 7 days ▶ leaves",
        ),
        ("{none: [{open: opt_out}]}", {}, "opt-out ├ while none is open ▶"),
        ("{none: [{value: {since: order}, at_least: $week}]}", {}, "last order ├ 7 days ▶ leaves"),
        (
            "{value: {count: order}, at_least: $n}",
            {"evaluate": "day", "dwell": "$week", "cooldown": "$month"},
            "orders ├ ever ┤ end of the day\nenters ├ 7 days ▶ may leave\nleaves ├ 30 days ▶ may enter again",
        ),
    ],
)
def test_a_drawing(rule, more, drawn):
    def bare(text):
        return [re.sub(r" +", " ", line.replace("─", "")) for line in text.splitlines()]

    assert bare(picture(cohort(rule, **more))) == bare(drawn)


def test_bars_have_one_scale():
    rule = "{first: {event: [view]}, then: {event: [buy]}, same: product_id, within: $week, lasts: $month}"
    short, long = picture(cohort(rule, subject="visitor")).splitlines()
    assert [line.index("▶") - line.index("├") + 1 for line in (short, long)] == [len("├─ 7 days ─▶"), 40]
