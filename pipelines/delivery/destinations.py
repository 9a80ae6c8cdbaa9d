"""Endpoints that a tenant declares in files: ``tenants/<id>/destinations/*.yaml`` with ``kind: webhook``.

The files own these endpoints: what changes there changes here, and a file that goes takes its endpoint with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field
from sqlalchemy import Connection, Engine, select, update

from pipelines.config import Strict, Tenant, load_yaml
from pipelines.delivery import endpoints
from pipelines.delivery.endpoints import DEFAULT_TYPES, Wish
from pipelines.errors import UsageError
from pipelines.storage.control import writing
from pipelines.storage.control.cipher import Cipher
from pipelines.storage.control.tables import endpoints as table
from pipelines.storage.hashing import identifier


class WebhookDestination(Strict):
    """One webhook endpoint in a file."""

    kind: Literal["webhook"]
    url: str
    secret_env: str = Field(description="environment variable that holds the secret, whsec_...")
    description: str = ""
    events: tuple[str, ...] = DEFAULT_TYPES
    filters: dict[str, Any] = Field(default_factory=dict)
    mode: Literal["live", "sandbox"] = "live"
    allow_private: bool = False
    enabled: bool = True


def declared(tenant: Tenant) -> dict[str, WebhookDestination]:
    """Webhooks of the tenant's folder by file name; files of other kinds are left to others.

    Raises:
        UsageError: a file is wrong, with its name and the path inside it.
    """
    files = sorted((tenant.folder / "destinations").glob("*.yaml"))
    return {file.name: load_yaml(file, WebhookDestination) for file in files if _kind(file) == "webhook"}


def sync_destinations(
    engine: Engine, tenant: Tenant, cipher: Cipher, environment: Mapping[str, str], now: int, *, development: bool
) -> int:
    """Make the stored endpoints what the files say; the number of files.

    Raises:
        UsageError: a file is wrong or its secret is not in the environment; nothing was changed.
    """
    wanted = declared(tenant)
    secrets = {name: _secret(tenant, name, item, environment) for name, item in wanted.items()}
    with writing(engine, alone=f"destinations:{tenant.id}") as connection:
        present = {item.declared_in: item for item in endpoints.listed(connection, tenant.id) if item.declared_in}
        for name, destination in wanted.items():
            _apply(connection, cipher, tenant, name, _wish(tenant, name, destination, development), secrets[name], now)
            endpoint_id = _endpoint_id(tenant, name)
            state = "active" if destination.enabled else "disabled"
            stored = endpoints.get(connection, endpoint_id)
            # What the receiver itself ended with 410 stays so until somebody enables it.
            if stored.state != state and stored.disabled_because != "gone":
                endpoints.set_state(connection, endpoint_id, state, now, None if destination.enabled else "declared")
        for name, endpoint in present.items():
            if name not in wanted:
                endpoints.set_state(connection, endpoint.endpoint_id, "deleted", now)
    return len(wanted)


def _apply(
    connection: Connection, cipher: Cipher, tenant: Tenant, name: str, wish: Wish, secret: str, now: int
) -> None:
    endpoint_id = _endpoint_id(tenant, name)
    own = table.c.endpoint_id == endpoint_id
    stored = connection.execute(select(table).where(own)).mappings().first()
    if stored is None:
        endpoints.add(connection, cipher, endpoint_id, wish, secret, now)
        return
    columns = wish.columns()
    if any(stored[key] != value for key, value in columns.items()):
        connection.execute(update(table).where(own).values({**columns, "updated_at": now}))
    if cipher.decrypt(stored["secret"], endpoint_id) != secret:
        endpoints.rotate(connection, cipher, endpoint_id, secret, now)


def _wish(tenant: Tenant, name: str, destination: WebhookDestination, development: bool) -> Wish:
    return Wish(
        tenant=tenant.id,
        url=destination.url,
        event_types=destination.events,
        filters=destination.filters,
        description=destination.description,
        mode=destination.mode,
        allow_private=destination.allow_private or development,
        declared_in=name,
    )


def _endpoint_id(tenant: Tenant, name: str) -> str:
    return "ep_" + identifier(tenant.id, "destination", name)[:24]


def _kind(file: Path) -> str | None:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        # Read again as a webhook, which says what is wrong and where.
        return "webhook"
    return content.get("kind") if isinstance(content, dict) else None


def _secret(tenant: Tenant, name: str, destination: WebhookDestination, environment: Mapping[str, str]) -> str:
    secret = environment.get(destination.secret_env)
    if not secret:
        file = tenant.folder / "destinations" / name
        raise UsageError(f"{file}: secret_env: the environment has no {destination.secret_env}; set it to the secret")
    return secret
