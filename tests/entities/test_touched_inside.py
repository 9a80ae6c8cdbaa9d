"""Identity links in events and opt-outs in customers: tables are made again only when these changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.config import Tenant
from pipelines.entities import steps
from tests.conftest import make_workspace
from tests.landing.support import customer, event, land

Batch = tuple[str, list[dict[str, Any]]]
TABLES = {name: (name, f"{name}_history") for name in ("identity_links", "opt_outs")}


def seen(number: int, hour: int = 1, **fields: Any) -> dict[str, Any]:
    named = {"flockr_vid": f"v-{number:03}", "customer_id": f"c-{number:03}", "resolution_event": "login"}
    at = f"2026-01-02T{hour:02}:00:00Z"
    return event(external_id=f"e-{number:03}", occurred_at=at, **{**named, **fields})


def link(number: int, hour: int = 1, **fields: Any) -> dict[str, Any]:
    named = {"flockr_vid": f"v-{number:03}", "customer_id": f"c-{number:03}", "resolution_event": "login"}
    return {**named, "occurred_at": f"2026-01-02T{hour:02}:00:00Z", **fields}


def agreed(number: int, hour: int = 1, status: str = "opted_in", **fields: Any) -> dict[str, Any]:
    at = f"2026-01-02T{hour:02}:00:00Z"
    said = [{"channel": "email", "status": status, "updated_at": at}]
    return customer(**{"external_id": f"c-{number:03}", "updated_at": at, "consents": said, **fields})


def declined(key: str, hour: int, **fields: Any) -> dict[str, Any]:
    told = {"channel": "email", "scope": "all", "action": "opt_out", "reason": "preference_centre"}
    return {"external_id": key, "occurred_at": f"2026-01-02T{hour:02}:00:00Z", "customer_id": "c-1", **told, **fields}


LINKS: list[tuple[Batch, int]] = [
    (("customer_events", [seen(number) for number in range(60)]), 1),
    (("customer_events", [seen(7, 2), seen(99), seen(8, 1, op="delete")]), 1),
    (("identity_links", [link(7, 2), link(9, op="delete"), link(98)]), 1),
    (("identity_links", [link(9), link(98, op="delete")]), 1),
    (("customer_events", [seen(7, 2, resolution_event=None), seen(98, 1)]), 1),
    (("customer_events", [event(external_id="e-none", occurred_at="2026-01-03T01:00:00Z")]), 0),
]
OPT_OUTS: list[tuple[Batch, int]] = [
    (("customers", [agreed(number) for number in range(60)]), 1),
    (("opt_outs", [declined("o-1", 2), declined("o-2", 3)]), 1),
    (("customers", [agreed(7, 2, "opted_out"), agreed(99), agreed(8, 3, op="delete", consents=None)]), 1),
    (("customers", [customer(external_id="c-007", updated_at="2026-01-05T01:00:00Z", op="patch", language="fr")]), 0),
    (("opt_outs", [declined("o-1", 4, action="opt_in"), declined("o-2", 5, op="delete")]), 1),
]


def land_and_publish(tenant: Tenant, name: str, batch: Batch) -> list[str]:
    land(tenant, *batch)
    return publish(tenant, name)


def publish(tenant: Tenant, name: str) -> list[str]:
    steps.publish_dimensions(tenant, [name])
    return [tenant.lake.files(table)[None] for table in TABLES[name]]


@pytest.mark.parametrize(("name", "batches"), [("identity_links", LINKS), ("opt_outs", OPT_OUTS)])
def test_tables_are_made_again_when_what_is_carried_changed_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, batches: list[tuple[Batch, int]]
) -> None:
    whole, times = steps._folded, []
    monkeypatch.setattr(steps, "_folded", lambda *arguments: times.append(1) or whole(*arguments))
    tenant = make_workspace(tmp_path / "now").tenant("acme")
    for count, (batch, changes) in enumerate(batches, start=1):
        times.clear()
        found = land_and_publish(tenant, name, batch)
        assert len(times) == changes, count
        again = make_workspace(tmp_path / str(count)).tenant("acme")
        for each, _ in batches[:count]:
            land(again, *each)
        assert found == publish(again, name), count


def test_without_what_was_kept_the_tables_are_made_again(tmp_path: Path) -> None:
    tenant = make_workspace(tmp_path).tenant("acme")
    found = land_and_publish(tenant, "opt_outs", OPT_OUTS[0][0])
    (tenant.state / "made_of" / "opt_outs" / "whole.json").unlink()
    assert publish(tenant, "opt_outs") == found
