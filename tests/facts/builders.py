"""Records for the tests of facts, short enough to read a scenario, and one call that runs the stages up to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from pipelines.config import Tenant
from pipelines.entities.steps import STEPS as ENTITY_STEPS
from pipelines.entities.steps import publish_dimensions
from pipelines.facts.steps import STEPS as FACT_STEPS
from tests.entities.landing_files import at, record

DAYS = [date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)]


def run(tenant: Tenant, days: Sequence[date] = DAYS) -> None:
    """Entities and facts of the days; of the entities without days only those that facts read."""
    publish_dimensions(tenant, ("products", "outlets", "groups", "identity_links"))
    for step in (*ENTITY_STEPS, *FACT_STEPS):
        if step.partitioned:
            step.run(tenant, days)


def event(event_id: str, name: str, when: str, **values: Any) -> dict[str, Any]:
    """An event of visitor v1, unless told otherwise."""
    base = {"external_id": event_id, "event_name": name, "occurred_at": at(when), "flockr_vid": "v1"}
    return record(**{**base, **values})


def transaction(sale_id: str, when: str, **values: Any) -> dict[str, Any]:
    """A paid sale of 10.00 with one line of two units, unless told otherwise."""
    base = {
        "external_id": sale_id,
        "type": "sale",
        "status": "paid",
        "channel": "web",
        "currency": "GBP",
        "gross_minor": 1000,
        "net_minor": 1000,
        "lines": [{"line_no": 1, "product_id": "p1", "quantity": 2000, "line_net_minor": 1000}],
        "occurred_at": at(when),
        "updated_at": at(when),
    }
    return record(**{**base, **values})


def product(product_id: str, when: str, price: int, currency: str = "GBP") -> dict[str, Any]:
    """A version of a product."""
    return record(
        external_id=product_id,
        updated_at=at(when),
        name="n",
        category_path="a",
        status="active",
        price_minor=price,
        currency=currency,
    )


def link(vid: str, customer: str, when: str) -> dict[str, Any]:
    """A login."""
    return record(flockr_vid=vid, customer_id=customer, occurred_at=at(when), resolution_event="login")


def stock(product_id: str, when: str, available: int, **place: str) -> dict[str, Any]:
    """A measurement."""
    return record(
        product_id=product_id, measured_at=at(when), on_hand=available, reserved=0, available=available, **place
    )
