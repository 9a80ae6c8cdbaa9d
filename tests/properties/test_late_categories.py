"""Products and outlets that come after what names them: exactly the days that use them change, into what was meant."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import flow
from pipelines.config import Tenant
from pipelines.freshness import Freshness
from schemas.registry import LAKE
from tests.properties.tenants import land_all, tenants
from tests.properties.valid import valid

TIMES = st.sampled_from([f"2025-10-{day}T{hour}:00:00Z" for day in (24, 25, 26, 27) for hour in ("09", "15")])
PRODUCTS = st.sampled_from(["p1", "p2"])
NAMES = st.sampled_from(["Product Viewed", "Product Added to Wishlist", "Checkout Started", "Order Completed"])
#: A day before and one after, so that all days are there whatever is drawn.
EDGES = [("customer_events", {"external_id": key, "event_name": "Page Viewed", "occurred_at": at, "flockr_vid": "v9"})
         for key, at in (("first", "2025-10-24T08:00:00Z"), ("last", "2025-10-27T08:00:00Z"))]  # fmt: skip
FACTS = [step for step in flow.STEPS if step.group in ("entities", "facts")]


def event(key: int, name: str, at: str, product: str) -> tuple[str, dict[str, Any]]:
    told = {"external_id": f"e{key}", "event_name": name, "occurred_at": at, "flockr_vid": "v1", "product_id": product}
    return "customer_events", {**told, "order_id": f"t{key}"} if name == "Order Completed" else told


def sale(key: int, at: str, product: str, outlet: str) -> tuple[str, dict[str, Any]]:
    told = {"type": "sale", "status": "paid", "channel": "store", "currency": "GBP", "outlet_id": outlet}
    lines = [{"product_id": product, "quantity": "1", "line_net_minor": 900}]
    return "transactions", valid(
        "transactions", {"external_id": f"t{key}", "occurred_at": at, "updated_at": at, "lines": lines, **told}
    )


def product(key: str, at: str, category: str) -> tuple[str, dict[str, Any]]:
    kept = {"name": "Pot", "status": "active", "price_minor": 900, "currency": "GBP"}
    return "products", {"external_id": key, "updated_at": at, "category_path": category, **kept}


def outlet(key: str, at: str, kind: str) -> tuple[str, dict[str, Any]]:
    kept = {"name": "Mill Lane", "timezone": "Europe/London", "country": "GB"}
    return "outlets", {"external_id": key, "updated_at": at, "kind": kind, **kept}


ACTS = st.lists(
    st.one_of(
        st.builds(event, st.integers(0, 9), NAMES, TIMES, PRODUCTS),
        st.builds(sale, st.integers(0, 9), TIMES, PRODUCTS, st.sampled_from(["o1", "o2"])),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda drawn: (drawn[0], drawn[1]["external_id"]),
)
SAID = st.lists(
    st.one_of(
        st.builds(product, PRODUCTS, TIMES, st.sampled_from(["a", "b > c"])),
        st.builds(outlet, st.sampled_from(["o1", "o2"]), TIMES, st.sampled_from(["store", "online"])),
    ),
    max_size=6,
    unique_by=lambda drawn: (drawn[1]["external_id"], drawn[1]["updated_at"]),
)


def compute(tenant: Tenant) -> dict[str, set[str]]:
    """Bring facts up to date; by step, the days that were computed."""
    done = flow.run(tenant, select=["entities", "facts"])
    return {outcome.step.name: {str(day) for day in outcome.days} for outcome in done}


def facts(tenant: Tenant) -> dict[str, Any]:
    tables = [name for step in FACTS if step.group == "facts" for name in step.outputs]
    return {name: tenant.lake.read(name).sort(LAKE[name].primary_key, nulls_last=True).rows() for name in tables}


@settings(max_examples=3)
@given(acts=ACTS, early=SAID, late=SAID)
def test_what_comes_late_changes_the_days_that_use_it(acts, early, late):
    with tenants() as (patched, straight):
        land_all(patched, [*EDGES, *acts, *early])
        compute(patched)
        land_all(patched, late)
        again = compute(patched)
        assert not [step.name for step in FACTS if Freshness(patched).stale(step, Freshness(patched).available_days())]
        land_all(straight, [*EDGES, *acts, *early, *late])
        compute(straight)
        assert facts(patched) == facts(straight)
    told = {record["external_id"] for _, record in late}
    named = {record["occurred_at"][:10] for _, record in acts if told & _names(record)}
    assert again["event_facts"] | again["order_facts"] <= named


def _names(record: dict[str, Any]) -> set[str]:
    lines = [line["product_id"] for line in record.get("lines", ())]
    return {str(name) for name in (record.get("product_id"), record.get("outlet_id"), *lines)}
