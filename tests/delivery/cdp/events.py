"""Events of the outbox for the tests of platforms."""

from __future__ import annotations

import json

from pipelines.delivery.envelope import Event

AT = 1_767_225_598_123_000
DATA = {
    "cart_product_ids": ["sku-1", "sku-2"],
    "cart_total_value": "249.50",
    "cart_total_value_minor": 24950,
    "caused_by": "silence",
    "cohort_id": "high_value_cart_abandoner",
    "currency": "GBP",
    "definition_version": "3f8a61c09b7d2e54",
    "flockr_vid": "fv_8c1f",
    "top_signal": "scarcity",
    "transition_id": "9b2f4c81d7e05a3661f0c8e2b4d97a15",
}
NAMES = {"high_value_cart_abandoner": "High-value cart abandoner"}
CROSSING = {
    "signal_id": "stock_runway_days",
    "crossing_id": "c1",
    "from_state": "healthy",
    "to_state": "low",
    "value_before": 8.5,
    "value_after": 6.5,
    "threshold": 7,
}


def event(kind="cohort.entered", subject="fv_8c1f", event_id="evt_01JD0000000000000000000001", **changes):
    data = {**(CROSSING if kind.startswith("signal") else DATA), **changes}
    return Event(event_id, "demo", kind, subject, AT, AT + 1, 7, json.dumps({k: v for k, v in data.items() if v != ""}))
