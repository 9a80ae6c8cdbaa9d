"""Acts and checkouts of visitors."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config import Tenant
from pipelines.facts.through_time import changes
from pipelines.facts.visitors import ACT_COLUMNS, ACT_KEY, ACTS_OF_EVENTS, acts, visitor_acts
from schemas.registry import LAKE
from tests.entities.landing_files import at, land, make_tenant
from tests.facts.builders import DAYS, event, link, product, run

TEN = "2026-03-01T10:00"


@pytest.fixture
def tenant(tmp_path: Path) -> Tenant:
    return make_tenant(tmp_path)


def read(tenant: Tenant, *columns: str, table: str = "visitor_acts") -> list[tuple[Any, ...]]:
    return tenant.lake.read(table).select(columns).rows()


def test_each_act_has_its_name_and_only_checkouts_go_without_a_product(tenant: Tenant) -> None:
    rows = [
        event(f"{given}-{place}", name, f"2026-03-01T10:0{place}", product_id=given)
        for place, name in enumerate(ACTS_OF_EVENTS)
        for given in ("p1", "", None)
    ]
    rows.append(event("other", "Product List Viewed", "2026-03-01T11:00", product_id="p1"))
    land(tenant, "customer_events", rows)
    run(tenant)
    assert read(tenant, "act", "product_id", "count") == [
        *[(act, "p1", 1) for act in list(ACTS_OF_EVENTS.values())[:5]],
        ("checkout", "p1", 1),
        ("checkout", None, 2),
        ("alert", "p1", 1),
    ]


def test_products_of_an_event_are_acts_of_their_own_and_count_once(tenant: Tenant) -> None:
    twice = [{"product_id": "p2", "quantity": 1}, {"product_id": "p2", "quantity": 5}, {"product_id": "p3"}, {}]
    rows = [
        event("e1", "Product Added", TEN, product_id="p1", products=twice),
        event("e2", "Product Added", TEN, product_id="p3", products=[]),
        event("e3", "Checkout Started", TEN, products=twice),
    ]
    land(tenant, "customer_events", rows)
    run(tenant)
    assert read(tenant, "act", "product_id", "count") == [
        ("add", "p2", 1),
        ("add", "p3", 2),
        ("checkout", "p2", 1),
        ("checkout", "p3", 1),
        ("checkout", None, 1),
    ]


def test_what_is_the_same_is_one_row_and_nulls_are_the_same(tenant: Tenant) -> None:
    same = {"product_id": "p1", "session_id": "s1", "outlet_id": "o1"}
    others = [{}, {}, {"session_id": None}, {"session_id": None}, {"outlet_id": None}, {"product_id": "p2"}]
    rows = [event(f"e{place}", "Product Viewed", TEN, **{**same, **other}) for place, other in enumerate(others)]
    rows.append(event("later", "Product Viewed", "2026-03-01T10:00:00.000001", **same))
    rows.append(event("bot", "Product Viewed", TEN, agent_class="bot", **same))
    land(tenant, "customer_events", rows)
    run(tenant)
    assert read(tenant, "product_id", "session_id", "outlet_id", "count") == [
        ("p1", "s1", "o1", 2),
        ("p1", "s1", None, 1),
        ("p1", None, "o1", 2),
        ("p2", "s1", "o1", 1),
        ("p1", "s1", "o1", 1),
    ]


def test_a_category_is_the_one_of_the_instant_and_the_first_holds_before_it(tenant: Tenant) -> None:
    def version(when: str, category: str, **values: Any) -> dict[str, Any]:
        return {**product("p1", when, 100), "category_path": category, **values}

    gone = {**version("2026-03-02T18:00", "c"), "op": "delete"}
    land(tenant, "products", [version("2026-03-02T09:00", "a"), version("2026-03-02T12:00", "b > c"), gone])
    hours = ("01T10:00", "02T11:59:59.999999", "02T12:00", "02T17:59", "02T18:00")
    rows = [event(f"e{hour}", "Product Viewed", f"2026-03-{hour}", product_id="p1") for hour in hours]
    rows.append(event("other", "Product Viewed", "2026-03-03T10:00", product_id="p2"))
    land(tenant, "customer_events", rows)
    run(tenant)
    assert [category for (category,) in read(tenant, "category")] == ["a", "a", "b > c", "b > c", None, None]


def test_an_act_without_a_visitor_goes_to_the_one_linked_before_it(tenant: Tenant) -> None:
    land(tenant, "identity_links", [link("v1", "c1", TEN)])
    hours = ("10:00", "10:01")
    rows = [
        event(f"e{hour}", "Product Viewed", f"2026-03-01T{hour}", flockr_vid=None, customer_id="c1", product_id="p")
        for hour in hours
    ]
    land(tenant, "customer_events", rows)
    run(tenant)
    assert read(tenant, "flockr_vid", "occurred_at") == [("v1", at("2026-03-01T10:01"))]


def test_checkouts_keep_their_steps(tenant: Tenant) -> None:
    told = {"checkout_id": "k", "session_id": "s", "value_minor": 900, "currency": "GBP"}
    rows = [
        event("e1", "Checkout Started", TEN, **told),
        event("e2", "Checkout Step Completed", "2026-03-01T10:01", step=2, checkout_id="k"),
        event("e3", "Checkout Started", "2026-03-01T10:02", agent_class="bot"),
        event("e4", "Checkout Started", "2026-03-01T10:02", flockr_vid=None),
        event("e5", "Cart Viewed", "2026-03-01T10:03", checkout_id="k"),
    ]
    land(tenant, "customer_events", rows)
    run(tenant)
    names = ("event_id", "kind", "step", "checkout_id", "session_id", "value_minor", "currency")
    assert read(tenant, *names, table="visitor_checkouts") == [
        ("e1", "started", None, "k", "s", 900, "GBP"),
        ("e2", "step", 2, "k", None, None, None),
    ]
    assert tenant.lake.rows("visitor_checkouts") == {DAYS[0]: 2, DAYS[1]: 0, DAYS[2]: 0}


START = datetime(2026, 3, 1, tzinfo=UTC)
MOMENTS = st.sampled_from([START + timedelta(hours=hours) for hours in range(4)])
PRODUCTS = st.sampled_from(["p1", "p2", "", None])
EVENTS = st.fixed_dictionaries(
    {
        "event_name": st.sampled_from([*ACTS_OF_EVENTS, "Session Started"]),
        "occurred_at": MOMENTS,
        "flockr_vid": st.sampled_from(["v1", "v2", "v3", None]),
        "session_id": st.sampled_from(["s1", None]),
        "agent_class": st.sampled_from([None, "human", "bot"]),
        "product_id": PRODUCTS,
        "products": st.none() | st.lists(PRODUCTS.map(lambda p: {"product_id": p}), max_size=3),
        "outlet_id": st.sampled_from(["o1", None]),
    }
)
VERSIONS = st.lists(
    st.tuples(st.sampled_from(["p1", "p2"]), MOMENTS, st.sampled_from(["a", "b", None])),
    unique_by=lambda version: version[:2],
)


def history(versions: list[tuple[str, datetime, str | None]]) -> pl.DataFrame:
    """Versions as ``products_history``; one without a category is a tombstone."""
    ends = {(key, at): min([m for k, m, _ in versions if k == key and m > at], default=None) for key, at, _ in versions}
    rows = [
        {"external_id": key, "effective_from": at, "effective_to": ends[key, at], "category_path": said,
         "is_deleted": said is None}
        for key, at, said in versions
    ]  # fmt: skip
    names = ("external_id", "effective_from", "effective_to", "is_deleted", "category_path")
    schema = LAKE["products_history"].schema
    return pl.DataFrame(rows, schema={name: schema[name] for name in names})


def naive(events: list[dict[str, Any]], versions: list[tuple[str, datetime, str | None]]) -> list[tuple[Any, ...]]:
    """Rows of visitor_acts, event by event."""
    found: Counter[tuple[Any, ...]] = Counter()
    for told in events:
        act = ACTS_OF_EVENTS.get(told["event_name"])
        if act is None or told["flockr_vid"] is None or told["agent_class"] == "bot":
            continue
        listed = [line["product_id"] for line in told["products"] or []] or [told["product_id"]]
        for product_id in {one or None for one in listed}:
            if product_id or act == "checkout":
                own = sorted((at, said) for key, at, said in versions if key == product_id)
                held = [said for place, (at, said) in enumerate(own) if place == 0 or at <= told["occurred_at"]]
                row = (told["flockr_vid"], told["occurred_at"], act, product_id, told["session_id"])
                found[*row, held[-1] if held else None, told["outlet_id"]] += 1
    rows = [(*row, count) for row, count in found.items()]
    return sorted(rows, key=lambda row: [(cell is None, cell or 0) for cell in (*row[:5], row[6])])


@given(st.lists(EVENTS, max_size=30), VERSIONS, st.integers(1, 20))
def test_acts_are_those_of_a_plain_loop_however_they_are_cut(events, versions, most_rows) -> None:
    lists = [told["products"] for told in events]
    texts = [None if listed is None else json.dumps(listed, separators=(",", ":")) for listed in lists]
    rows = [{**told, "products": text} for told, text in zip(events, texts, strict=True)]
    schema = {name: LAKE["customer_events"].schema[name] for name in ACT_COLUMNS}
    frame = pl.DataFrame([{name: row.get(name) for name in ACT_COLUMNS} for row in rows], schema=schema)
    told = changes(history(versions), "category_path")
    found = pl.concat(visitor_acts(acts(frame), told, most_rows))
    assert found.rows() == naive(events, versions)
    assert found.select(ACT_KEY).is_unique().all()
