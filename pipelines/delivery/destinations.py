"""Endpoints that a tenant declares in files: webhooks and platforms of ``tenants/<id>/destinations/*.yaml``.

The files own these endpoints: what changes there changes here, and a file that goes takes its endpoint with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field
from sqlalchemy import Connection, Engine, select, update

from pipelines.config import Strict, Tenant, load_yaml
from pipelines.delivery import endpoints
from pipelines.delivery.cdp.declared import PLATFORMS, PlatformDestination
from pipelines.delivery.endpoints import AWAITS_HANDSHAKE, DEFAULT_TYPES, MAX_IN_FLIGHT, Wish
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
    format: Literal["cloudevents", "flock"] = "cloudevents"
    headers: dict[str, str] = Field(default_factory=dict, description="sent with each request")
    headers_env: dict[str, str] = Field(
        default_factory=dict, description="headers whose values are secrets: by name, the variable that holds it"
    )
    batch_max: int = 1
    max_in_flight: int = MAX_IN_FLIGHT
    rate: int | None = None
    handshake: Literal["off", "optional", "required"] = "off"
    events: tuple[str, ...] = DEFAULT_TYPES
    filters: dict[str, Any] = Field(default_factory=dict)
    mode: Literal["live", "sandbox"] = "live"
    allow_private: bool = False
    enabled: bool = True


Destination = WebhookDestination | PlatformDestination
#: Why an endpoint stays disabled although its file enables it: the receiver has the say.
_RECEIVERS_SAY = ("gone", AWAITS_HANDSHAKE, "credentials", "source_off")


def declared(tenant: Tenant) -> dict[str, Destination]:
    """Endpoints of the tenant's folder by file name; files of other kinds are left to others.

    Raises:
        UsageError: a file is wrong, with its name and the path inside it.
    """
    files = sorted((tenant.folder / "destinations").glob("*.yaml"))
    models: dict[str, type[Destination]] = {"webhook": WebhookDestination, **PLATFORMS}
    kinds = {file: _kind(file) for file in files}
    return {file.name: load_yaml(file, models[kind]) for file, kind in kinds.items() if kind in models}


def sync_destinations(
    engine: Engine, tenant: Tenant, cipher: Cipher, environment: Mapping[str, str], now: int, *, development: bool
) -> int:
    """Make the stored endpoints what the files say; the number of files.

    Raises:
        UsageError: a file is wrong or its secret is not in the environment; nothing was changed.
    """
    wanted = declared(tenant)
    secrets = {name: _secret(tenant, name, item, environment) for name, item in wanted.items()}
    wishes = {name: _wish(tenant, name, item, environment, development) for name, item in wanted.items()}
    with writing(engine, alone=f"destinations:{tenant.id}") as connection:
        present = {item.declared_in: item for item in endpoints.listed(connection, tenant.id) if item.declared_in}
        for name, destination in wanted.items():
            _apply(connection, cipher, tenant, name, wishes[name], secrets[name], now)
            endpoint_id = _endpoint_id(tenant, name)
            state = "active" if destination.enabled else "disabled"
            stored = endpoints.get(connection, endpoint_id)
            # What the receiver itself ended, or has not allowed yet, stays so.
            if stored.state != state and stored.disabled_because not in _RECEIVERS_SAY:
                endpoints.set_state(connection, endpoint_id, state, now, None if destination.enabled else "declared")
        for name, endpoint in present.items():
            if name not in wanted:
                _check_gone(tenant, name)
                endpoints.set_state(connection, endpoint.endpoint_id, "deleted", now)
    return len(wanted)


def _check_gone(tenant: Tenant, name: str) -> None:
    """Refuse to take an endpoint away, with what waits for it, for a kind that was mistyped.

    Raises:
        UsageError: its file is there, with a kind that is none of an endpoint.
    """
    file = tenant.folder / "destinations" / name
    if file.exists():
        known = ", ".join(["webhook", *PLATFORMS])
        raise UsageError(f"{file}: kind: it declared an endpoint; choose one of {known}, or remove the file first")


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
    if wish.handshake != "off" and stored["rate"] is not None:
        # What the receiver allowed bounds what the file asks for.
        columns["rate"] = min(wish.rate or stored["rate"], stored["rate"])
    if any(stored[key] != value for key, value in columns.items()):
        connection.execute(update(table).where(own).values({**columns, "updated_at": now}))
    kept = json.loads(cipher.decrypt(stored["headers"], endpoint_id)) if stored["headers"] else {}
    if kept != dict(wish.headers or {}):
        sealed = wish.sealed_headers(cipher, endpoint_id)
        connection.execute(update(table).where(own).values(headers=sealed, updated_at=now))
    if cipher.decrypt(stored["secret"], endpoint_id) != secret:
        endpoints.rotate(connection, cipher, endpoint_id, secret, now)
        if stored["disabled_because"] == "credentials":
            endpoints.set_state(connection, endpoint_id, "active", now)


def _wish(
    tenant: Tenant, name: str, destination: Destination, environment: Mapping[str, str], development: bool
) -> Wish:
    if isinstance(destination, PlatformDestination):
        return destination.wish(tenant.id, name, development=development)
    named = {
        header: _variable(tenant, name, f"headers_env.{header}", variable, environment)
        for header, variable in destination.headers_env.items()
    }
    return Wish(
        tenant=tenant.id,
        url=destination.url,
        event_types=destination.events,
        filters=destination.filters,
        description=destination.description,
        format=destination.format,
        headers={**destination.headers, **named},
        batch_max=destination.batch_max,
        max_in_flight=destination.max_in_flight,
        rate=destination.rate,
        handshake=destination.handshake,
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
    kind = content.get("kind") if isinstance(content, dict) else None
    return kind if isinstance(kind, str) else None


def _secret(tenant: Tenant, name: str, destination: Destination, environment: Mapping[str, str]) -> str:
    return _variable(tenant, name, "secret_env", destination.secret_env, environment)


def _variable(tenant: Tenant, name: str, path: str, variable: str, environment: Mapping[str, str]) -> str:
    value = environment.get(variable)
    if not value:
        file = tenant.folder / "destinations" / name
        raise UsageError(f"{file}: {path}: the environment has no {variable}; set it to the secret")
    return value
