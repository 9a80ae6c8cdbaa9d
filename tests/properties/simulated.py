"""A small simulated retailer as lines of NDJSON, made once a process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from functools import cache
from zoneinfo import ZoneInfo

from pipelines.config import Tenant
from pipelines.simulator.settings import SimulationConfig
from pipelines.simulator.simulate import Simulation, simulate
from pipelines.simulator.write import lines
from schemas.entities import ENTITIES
from tests.properties.tenants import land_bytes
from tests.properties.valid import valid

#: Worlds by name; the days in London hold one of 25 hours.
CONFIGS = {
    "autumn": SimulationConfig(
        ZoneInfo("Europe/London"),
        date(2025, 10, 24),
        date(2025, 10, 27),
        25,
        3,
        products=8,
        customers=6,
        history_days=0,
    ),
}


def land_world(tenant: Tenant, name: str) -> Tenant:
    """Send a world in one batch for each entity."""
    for entity, texts in lines_of(name).items():
        land_bytes(tenant, entity, as_file(texts))
    return tenant


def as_file(texts: Sequence[str]) -> bytes:
    """Lines as the bytes of a file."""
    return "".join(f"{text}\n" for text in texts).encode()


@cache
def world(name: str) -> Simulation:
    """One of the worlds."""
    return simulate(CONFIGS[name])


@cache
def lines_of(name: str) -> dict[str, list[str]]:
    """Its records by entity with those of ``HANDFUL``, each a line of NDJSON; only entities with records."""
    found = world(name)
    texts = {entity: lines(found.config, ENTITIES[entity], frame).to_list() for entity, frame in found.entities.items()}
    for entity, record in HANDFUL:
        texts[entity].append(json.dumps(record))
    return {entity: rows for entity, rows in texts.items() if rows}


def _order(number: int, at: str, **changes: object) -> tuple[str, dict[str, object]]:
    line = {"product_id": "hand-p", "quantity": "1", "line_net_minor": 900}
    fields = {"type": "sale", "status": "completed", "channel": "web", "currency": "GBP", "lines": [line]}
    money = {"gross_minor": 900, "net_minor": 900, "occurred_at": at, "updated_at": at, "customer_id": "hand-c"}
    return "transactions", valid("transactions", {"external_id": f"hand-t{number}", **fields, **money, **changes})


def _event(number: int, name: str, at: str, **changes: object) -> tuple[str, dict[str, object]]:
    return "customer_events", {
        "external_id": f"hand-e{number}",
        "event_name": name,
        "occurred_at": at,
        "flockr_vid": "hand-v",
        **changes,
    }


def _product(at: str, price: int, **changes: object) -> tuple[str, dict[str, object]]:
    fields = {"name": "Pot", "category_path": "home", "status": "active", "price_minor": price, "currency": "GBP"}
    return "products", {"external_id": "hand-p", "updated_at": at, **fields, **changes}


#: What a simulation does not do: patches, tombstones, two versions of one instant, an order whose event and transaction
#: lie on two days, a return before its sale, a reference that nothing ever resolves.
HANDFUL = (
    _product("2025-10-25T12:00:00Z", 900),
    _product("2025-10-25T12:00:00Z", 950),
    ("products", {"external_id": "hand-p", "op": "patch", "updated_at": "2025-10-26T00:30:00Z", "price_minor": 990}),
    _event(1, "Product Added", "2025-10-24T10:00:00Z", product_id="hand-p", cart_id="hand"),
    _event(2, "Product Added", "2025-10-26T00:59:59Z", product_id="hand-p", cart_id="hand"),
    _event(2, "Product Added", "2025-10-26T01:10:00Z", product_id="hand-p", cart_id="hand"),
    _event(3, "Product Viewed", "2025-10-26T01:10:00Z", product_id="nobody-knows"),
    _event(4, "Order Completed", "2025-10-26T23:59:58Z", order_id="hand-t1", customer_id="hand-c"),
    ("customer_events", {"external_id": "hand-e3", "op": "delete", "occurred_at": "2025-10-26T09:00:00Z"}),
    _order(1, "2025-10-27T00:00:02Z"),
    _order(2, "2025-10-25T11:00:00Z", campaign_ids=["nobody-knows"]),
    _order(3, "2025-10-25T12:00:00Z", type="return", original_transaction_id="hand-t2"),
    _order(4, "2025-10-24T12:00:00Z", type="return", original_transaction_id="hand-t2"),
    (
        "transactions",
        {"external_id": "hand-t2", "op": "patch", "updated_at": "2025-10-27T08:00:00Z", "status": "cancelled"},
    ),
    (
        "identity_links",
        {
            "flockr_vid": "hand-v",
            "customer_id": "hand-c",
            "resolution_event": "login",
            "occurred_at": "2025-10-25T10:30:00Z",
        },
    ),
)
