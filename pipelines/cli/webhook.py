"""``murmur webhook`` and ``murmur deliver``: endpoints, their deliveries, and sending what is due."""

from __future__ import annotations

import itertools
import json
import secrets
import signal
import threading
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from pipelines.cli.local_server import serving
from pipelines.cli.output import emit, json_option, note, table, tenant_option
from pipelines.cli.webhook_options import endpoint_options, wish_of
from pipelines.config import Workspace
from pipelines.delivery import deliver as delivery
from pipelines.delivery import endpoints, event_pages, handshake, replay
from pipelines.delivery.instants import SECOND, micros, rfc3339
from pipelines.delivery.ledger import attempts_of, listed_deliveries
from pipelines.delivery.referral_source import receive_referral, referral_secrets
from pipelines.delivery.signing import SECRET_BYTES, make_secret
from pipelines.delivery.upkeep import DAY_SECONDS, prune
from pipelines.delivery.worker import Worker, drain
from pipelines.errors import MurmurError, UsageError
from pipelines.storage.control import reading, writing
from pipelines.storage.control.tables import DELIVERY_STATES

INSTANT = click.DateTime(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S%z"])
SHOW_ONCE = "the secret is shown this once; keep it where the receiver reads it"
any_tenant = click.option("--tenant", "tenant_id", metavar="ID", help="Tenant id; all where not given.")


@click.group()
def webhook() -> None:
    """Endpoints that receive signed events, and what was delivered to them."""


@webhook.command("add")
@tenant_option
@click.argument("url")
@endpoint_options
@json_option
@click.pass_obj
def add(workspace: Workspace, /, tenant_id: str, url: str, as_json: bool, **asked: Any) -> None:
    """Register a URL; prints the endpoint's id and, once, its secret."""
    tenant = workspace.tenant(tenant_id)
    wish = wish_of(tenant.id, url, asked, development=delivery.is_development())
    wish.columns()  # what is wrong is said before anything is made
    control = delivery.Control.open(workspace)
    secret, endpoint_id = make_secret(secrets.token_bytes(SECRET_BYTES)), f"ep_{secrets.token_hex(12)}"
    with writing(control.engine) as connection:
        endpoints.add(connection, control.cipher, endpoint_id, wish, secret, _now())
    _show_secret(endpoint_id, secret, as_json)
    if wish.handshake != "off":
        found = handshake.shake(control.engine, endpoint_id, tenant.config.public_host, _now())
        note(_said(endpoint_id, found))


@webhook.command("handshake")
@click.argument("endpoint_id", metavar="ENDPOINT")
@json_option
@click.pass_obj
def ask_again(workspace: Workspace, endpoint_id: str, as_json: bool) -> None:
    """Ask a receiver for permission to send; exit 1 if it does not give it."""
    control = delivery.Control.open(workspace)
    with reading(control.engine) as connection:
        tenant_id = endpoints.get(connection, endpoint_id).tenant
    found = handshake.shake(control.engine, endpoint_id, workspace.tenant(tenant_id).config.public_host, _now())
    emit(asdict(found), as_json, lambda: click.echo(_said(endpoint_id, found)))
    if not found.granted:
        raise MurmurError(f"the receiver of {endpoint_id} did not allow events: {found.result}")


def _said(endpoint_id: str, found: handshake.Permission) -> str:
    if not found.granted:
        return f"{endpoint_id}: not allowed ({found.result}); ask again with: murmur webhook handshake {endpoint_id}"
    return f"{endpoint_id}: allowed" + (f", at most {found.rate} requests a minute" if found.rate else "")


@webhook.command("list")
@any_tenant
@json_option
@click.pass_obj
def list_endpoints(workspace: Workspace, tenant_id: str | None, as_json: bool) -> None:
    """List endpoints; never their secrets."""
    with reading(_control(workspace, tenant_id).engine) as connection:
        found = endpoints.listed(connection, tenant_id)
    rows = [_shown(endpoint) for endpoint in found]
    if not rows and not as_json:
        note(f"no endpoints yet; add one with: murmur webhook add --tenant {tenant_id or 'TENANT'} URL")
        return
    columns = ["endpoint_id", "tenant", "state", "url", "event_types", "filters"]
    shown = ["endpoint", "tenant", "state", "url", "events", "filters"]
    emit(rows, as_json, lambda: table(shown, [[_cell(name, row) for name in columns] for row in rows]))


@webhook.command("rotate")
@click.argument("endpoint_id", metavar="ENDPOINT")
@click.option("--revoke", is_flag=True, help="The old secret signs no longer; else both sign for 24 hours.")
@json_option
@click.pass_obj
def rotate(workspace: Workspace, endpoint_id: str, revoke: bool, as_json: bool) -> None:
    """Make a new secret; prints it once."""
    control = delivery.Control.open(workspace)
    secret = make_secret(secrets.token_bytes(SECRET_BYTES))
    overlap = 0 if revoke else endpoints.ROTATION_SECONDS
    with writing(control.engine) as connection:
        if endpoints.get(connection, endpoint_id).declared_in:
            raise UsageError(f"endpoint {endpoint_id} is declared in a file; change the variable of its secret_env")
        endpoints.rotate(connection, control.cipher, endpoint_id, secret, _now(), overlap)
    _show_secret(endpoint_id, secret, as_json)


@webhook.command("enable")
@click.argument("endpoint_id", metavar="ENDPOINT")
@click.pass_obj
def enable(workspace: Workspace, endpoint_id: str) -> None:
    """Send to a disabled endpoint again, what waited included."""
    _change_state(workspace, endpoint_id, "active", None)


@webhook.command("disable")
@click.argument("endpoint_id", metavar="ENDPOINT")
@click.pass_obj
def disable(workspace: Workspace, endpoint_id: str) -> None:
    """Stop sending to an endpoint; its deliveries are kept."""
    _change_state(workspace, endpoint_id, "disabled", "by hand")


@webhook.command("suspend")
@click.argument("endpoint_id", metavar="ENDPOINT")
@click.pass_obj
def suspend(workspace: Workspace, endpoint_id: str) -> None:
    """Stop sending to an endpoint for its owner's sake; its deliveries are kept, enable lifts it."""
    _change_state(workspace, endpoint_id, "suspended", "by hand")


@webhook.command("remove")
@click.argument("endpoint_id", metavar="ENDPOINT")
@click.pass_obj
def remove(workspace: Workspace, endpoint_id: str) -> None:
    """Delete an endpoint; what waits for it is cancelled."""
    _change_state(workspace, endpoint_id, "deleted", None)


@webhook.command("test")
@click.argument("endpoint_id", metavar="ENDPOINT")
@json_option
@click.pass_obj
def test(workspace: Workspace, endpoint_id: str, as_json: bool) -> None:
    """Send a signed test event the usual way; exit 1 if the receiver does not take it."""
    control = delivery.Control.open(workspace)
    with writing(control.engine) as connection:
        tenant_id = endpoints.get(connection, endpoint_id).tenant
        delivery_id = replay.add_test(connection, endpoint_id, secrets.token_hex(12), _now())
    hosts = {tenant_id: workspace.tenant(tenant_id).config.public_host}
    drain(Worker(control.engine, control.cipher, hosts, _clock), [delivery_id])
    with reading(control.engine) as connection:
        made = attempts_of(connection, delivery_id)
    if not made:
        raise MurmurError(f"endpoint {endpoint_id} is paused or busy; the test waits as {delivery_id}: murmur deliver")
    shown = made[-1]
    said = f"{shown['outcome']}: status {shown['status'] or '-'}, {shown['error_class'] or 'no error'}"
    emit(shown, as_json, lambda: click.echo(f"{said}, {shown['latency_ms']} ms"))
    if shown["outcome"] not in ("delivered", "sandbox"):
        raise MurmurError(f"the test event was not taken: {shown['error_class']}")


@webhook.command("deliveries")
@any_tenant
@click.option("--state", type=click.Choice(DELIVERY_STATES), help="Only these.")
@click.option("--endpoint", "endpoint_id", metavar="ENDPOINT", help="Only of this endpoint.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1), help="The newest so many.")
@json_option
@click.pass_obj
def list_deliveries(
    workspace: Workspace, tenant_id: str | None, state: str | None, endpoint_id: str | None, limit: int, as_json: bool
) -> None:
    """List deliveries, the newest first."""
    with reading(_control(workspace, tenant_id).engine) as connection:
        rows = listed_deliveries(connection, tenant_id, state, endpoint_id, limit)
    if not rows and not as_json:
        note("no such deliveries; events become deliveries when murmur deliver runs, for endpoints that want them")
        return
    columns = ["delivery_id", "type", "subject", "state", "attempts", "last_status", "last_error"]
    shown = ["delivery", "type", "subject", "state", "tries", "status", "error"]
    emit(rows, as_json, lambda: table(shown, [[row[name] for name in columns] for row in rows]))


@webhook.command("replay")
@click.argument("delivery_id", metavar="[DELIVERY]", required=False)
@click.option("--endpoint", "endpoint_id", metavar="ENDPOINT", help="Everything that this endpoint wants.")
@click.option("--from", "first", type=INSTANT, help="Noticed at or after this instant, UTC where no offset is given.")
@click.option("--to", "last", type=INSTANT, help="Noticed before this instant.")
@json_option
@click.pass_obj
def replay_command(
    workspace: Workspace,
    delivery_id: str | None,
    endpoint_id: str | None,
    first: datetime | None,
    last: datetime | None,
    as_json: bool,
) -> None:
    """Send one delivery again, or all of an endpoint between two instants; murmur deliver then sends them."""
    engine = delivery.Control.open(workspace).engine
    result: dict[str, Any]
    if delivery_id and not (endpoint_id or first or last):
        with writing(engine) as connection:
            replay.replay_delivery(connection, delivery_id, _now())
        result = {"again": 1, "new": 0}
    elif endpoint_id and first and last and not delivery_id:
        with writing(engine) as connection:
            result = asdict(replay.replay_span(connection, endpoint_id, _utc(first), _utc(last), _now()))
    else:
        raise UsageError("name a delivery, or an endpoint with both --from and --to")
    said = f"{result['again']} deliveries are due again, {result['new']} are new; send them with: murmur deliver --once"
    emit(result, as_json, lambda: note(said))


@webhook.command("pages", hidden=True)
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the guides.")
def write_pages(out: Path) -> None:
    """Write the pages about events: a schema and an example of each type, and a list."""
    for path, text in event_pages.pages().items():
        file = out / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


@webhook.command("receive")
@tenant_option
@click.option("--port", default=8788, show_default=True, help="Port on the loopback address; 0 picks a free one.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after this many requests were taken.")
@click.pass_obj
def receive(workspace: Workspace, tenant_id: str, port: int, count: int | None) -> None:
    """Take in the referral events that Flock posts; they land like dropped files."""
    tenant = workspace.tenant(tenant_id)
    secret_values = referral_secrets(tenant)
    taken = threading.Semaphore(0)

    def answer(headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        status, said = receive_referral(tenant, headers, body, secrets=secret_values)
        if status == 200:
            taken.release()
        return status, said

    with serving(port, answer):
        try:
            for _ in itertools.count() if count is None else range(count):
                taken.acquire()
        except KeyboardInterrupt:
            note("stopped")


@webhook.command("prune")
@tenant_option
@click.option("--days", type=click.IntRange(min=2), help="Keep so many days [webhook_retention_days of tenant.yaml].")
@json_option
@click.pass_obj
def prune_command(workspace: Workspace, tenant_id: str, days: int | None, as_json: bool) -> None:
    """Remove deliveries that ended longer ago, with their attempts; they can then not be replayed."""
    tenant = workspace.tenant(tenant_id)
    kept = days or tenant.config.webhook_retention_days
    done = prune(delivery.Control.open(workspace).engine, tenant.id, _now() - kept * DAY_SECONDS * SECOND)
    said = f"removed {done.deliveries} deliveries, {done.attempts} attempts of others, the data of {done.events} events"
    emit(asdict(done), as_json, lambda: note(said))


@click.command()
@any_tenant
@click.option("--once", is_flag=True, help="Attempt what is due now and stop; else stay.")
@click.option("--metrics-port", type=click.IntRange(1, 65535), help="Serve Prometheus metrics at this port meanwhile.")
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="And at this address of the machine.")
@json_option
@click.pass_obj
def deliver(
    workspace: Workspace,
    tenant_id: str | None,
    once: bool,
    metrics_port: int | None,
    metrics_host: str,
    as_json: bool,
) -> None:
    """Send what is due to webhook endpoints."""
    stopping = threading.Event()
    if not once:
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: stopping.set())
        note("delivering; stop with Ctrl-C")
    metrics = (metrics_host, metrics_port) if metrics_port else None
    done = delivery.deliver(
        workspace, tenant_id, once=once, clock=_clock, stopped=stopping.is_set, metrics=metrics
    ).as_dict()
    emit(done, as_json, lambda: table(list(done), [list(done.values())]))


def _clock() -> datetime:
    return datetime.now(UTC)


def _now() -> int:
    return micros(_clock())


def _utc(instant: datetime) -> int:
    return micros(instant if instant.tzinfo else instant.replace(tzinfo=UTC))


def _control(workspace: Workspace, tenant_id: str | None) -> delivery.Control:
    if tenant_id:
        workspace.tenant(tenant_id)
    return delivery.Control.open(workspace)


def _change_state(workspace: Workspace, endpoint_id: str, state: str, because: str | None) -> None:
    with writing(delivery.Control.open(workspace).engine) as connection:
        endpoints.set_state(connection, endpoint_id, state, _now(), because)
    note(f"{endpoint_id} is {state}")


def _show_secret(endpoint_id: str, secret: str, as_json: bool) -> None:
    def human() -> None:
        click.echo(f"endpoint {endpoint_id}\nsecret   {secret}")
        note(SHOW_ONCE)

    emit({"endpoint_id": endpoint_id, "secret": secret}, as_json, human)


def _shown(endpoint: endpoints.Endpoint) -> dict[str, Any]:
    shown = asdict(endpoint)
    for name in ("created_at", "paused_until", "handshake_at"):
        shown[name] = rfc3339(shown[name]) if shown[name] is not None else None
    return shown


def _cell(name: str, row: Mapping[str, Any]) -> Any:
    value = row[name]
    if name == "state" and row["disabled_because"]:
        return f"{value} ({row['disabled_because']})"
    if isinstance(value, tuple):
        return ", ".join(value)
    return json.dumps(value) if isinstance(value, dict) else value
