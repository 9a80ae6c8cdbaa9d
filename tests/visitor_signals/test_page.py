"""The page of visitors' signals is what the catalogue says now."""

from __future__ import annotations

from pathlib import Path

from pipelines.visitor_signals.page import formula, page, states
from pipelines.visitor_signals.resolve import visitor_signals
from tests.visitor_signals.shopfront import make_tenant

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_is_the_catalogue(tenant):
    assert (DOCS / "visitor-signals.md").read_text(encoding="utf-8") == page(visitor_signals(tenant)), "run: make docs"


def test_words_follow_the_parameters(tmp_path):
    found = visitor_signals(make_tenant(tmp_path))
    assert "2h" in formula(found["intent_score"]) and "min(30" in formula(found["intent_score"])
    assert states(found["intent_score"]).startswith("`ready` (from 15, until below 12)")
    assert all("$" not in formula(each) for each in found.values())


def test_every_signal_is_in_the_guide(tenant):
    guide = (DOCS / "signals.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in guide for name in visitor_signals(tenant))
