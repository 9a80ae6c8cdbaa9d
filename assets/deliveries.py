"""The page of deliveries: an asset whose every entry says how the webhooks of a tenant stand after a delivery run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from assets.stage import key_of
from pipelines.config import Workspace
from pipelines.delivery.deliver import Delivered
from pipelines.delivery.instants import micros
from pipelines.delivery.overview import failures, overview
from pipelines.storage.control import open_control, reading

NAME = "webhook_deliveries"


def deliveries_spec(tenant_id: str) -> dg.AssetSpec:
    """The asset; it is not computed by a run of assets, but told of by each delivery run."""
    return dg.AssetSpec(
        key_of(tenant_id, NAME),
        deps=[key_of(tenant_id, "event_log")],
        group_name="delivery",
        description="What became of the events that are sent: by state, the oldest that is due, failures by endpoint.",
        owners=[f"team:{tenant_id}"],
        kinds={"webhook"},
    )


def deliveries_page(workspace: Workspace, tenant_id: str, done: Delivered, now: datetime) -> dg.AssetMaterialization:
    """An entry of the page: numbers that Dagster plots over the runs, and two tables."""
    engine = open_control(workspace.control_url)
    try:
        with reading(engine) as connection:
            found = overview(connection, tenant_id, micros(now))
            failing = failures(connection, tenant_id, micros(now))
    finally:
        engine.dispose()
    states = [{"state": state, "deliveries": count} for state, count in found.states().items()]
    numbers = {
        **{f"deliveries {state}": count for state, count in found.states().items()},
        **{f"endpoints {state}": count for state, count in found.endpoints.items()},
        "oldest due, seconds": round(found.oldest_due_seconds, 3),
        "failed attempts of a day": sum(row["failed"] for row in failing),
    }
    metadata = {
        **done.as_dict(),
        **numbers,
        "by state": _table(states, ("state", "deliveries")),
        "failures by endpoint": _table(failing, _FAILURES),
    }
    return dg.AssetMaterialization(key_of(tenant_id, NAME), metadata=metadata)


_FAILURES = ("endpoint_id", "host", "state", "failed", "dead", "last_error", "last_at", "in_a_row", "open_until")


def _table(rows: Sequence[dict[str, Any]], columns: tuple[str, ...]) -> dg.MetadataValue[Any]:
    if not rows:
        return dg.MetadataValue.md("*none*")
    records = [dg.TableRecord({name: "" if row[name] is None else row[name] for name in columns}) for row in rows]
    kinds = {name: "int" if isinstance(rows[0][name], int) else "string" for name in columns}
    return dg.MetadataValue.table(records, dg.TableSchema([dg.TableColumn(name, kinds[name]) for name in columns]))
