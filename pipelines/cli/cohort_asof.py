"""``murmur cohort members``, ``history`` and ``verify``: the past on both clocks, and whether all tables agree."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from sqlalchemy import make_url

from pipelines.asof.agreement import COMPARED, Agreement, agreements
from pipelines.asof.members import COLUMNS, Members, members, members_said
from pipelines.asof.subject import story
from pipelines.cli.output import DAY, emit, json_option, note, table, tenant_option
from pipelines.cohorts.history.checks import newest_day
from pipelines.config import Tenant, Workspace
from pipelines.delivery.ledger import deliveries_of
from pipelines.errors import MurmurError, UsageError
from pipelines.storage.control import open_control, reading

INSTANT = click.DateTime(formats=["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%S%z"])
_MOVE = ("effective_at", "direction", "caused_by", "is_true")
_TOLD = ("kind", "emission", "withheld_because", "detected_at", "event_id", "supersedes")


@click.command("members")
@click.argument("cohort_id", metavar="COHORT")
@tenant_option
@click.option("--as-of", "as_of", type=DAY, help="Tenant day; the newest computed one where not given.")
@click.option("--said", is_flag=True, help="Whom we said was in, not who was by all that is known now.")
@click.option("--at", type=INSTANT, help="With --said: what stood at this instant; where not given the first file.")
@click.option("--source", type=click.Choice(["file", "events"]), help="With --said: exported file or event log.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV.")
@json_option
@click.pass_obj
def list_members(
    workspace: Workspace,
    cohort_id: str,
    tenant_id: str,
    as_of: datetime | None,
    said: bool,
    at: datetime | None,
    source: Any,
    as_csv: bool,
    as_json: bool,
) -> None:
    """List who was in a cohort at the end of a day: by all we know now, or as we said then."""
    if not said and (at or source):
        raise UsageError("--at and --source say what stood when we said it; add --said")
    tenant = workspace.tenant(tenant_id)
    day = as_of.date() if as_of else newest_day(tenant.lake)
    if day is None:
        raise UsageError(f"no day was computed yet; run: murmur run --tenant {tenant_id}")
    _known(tenant, cohort_id)
    known_at = at.replace(tzinfo=at.tzinfo or UTC) if at else None
    found = members_said(tenant, cohort_id, day, known_at, source) if said else members(tenant, cohort_id, day)
    result = {
        "cohort_id": cohort_id,
        "as_of": day,
        "clock": found.clock,
        "source": found.source,
        "revision": found.revision,
        "said_at": found.said_at,
        "size": found.rows.height,
        "members": found.rows.to_dicts(),
    }
    if as_csv and not as_json:
        click.echo(found.rows.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.fZ"), nl=False)
        return
    emit(result, as_json, lambda: _print_members(cohort_id, str(day), found))


def _print_members(cohort_id: str, day: str, found: Members) -> None:
    said = {
        "lake": "by all that is known now",
        "file": f"as revision {found.revision} of the file said, which went out at {found.said_at}",
        "events": f"as told{f' by {found.said_at}' if found.said_at else ' so far'}, sent or withheld",
    }
    columns = [name for name in found.rows.columns if name in (*COLUMNS, "emission")]
    title = f"{found.rows.height:,} members of {cohort_id} at the end of {day}, {said[found.source]}"
    table(columns, found.rows.select(columns).rows(), title)


def _known(tenant: Tenant, cohort_id: str) -> None:
    """Refuse a cohort of which no day knows anything."""
    days = tenant.lake.days("cohort_sizes")
    known = set(tenant.lake.scan("cohort_sizes", days[-1:]).select("cohort_id").collect()["cohort_id"])
    if cohort_id in known:
        return
    ever = tenant.lake.scan("cohort_sizes").select("cohort_id").unique().collect()["cohort_id"]
    if cohort_id not in set(ever):
        raise UsageError(f"cohort {cohort_id!r} is not there; cohorts: {', '.join(sorted(known))}")


@click.command("history")
@click.argument("cohort_id", metavar="COHORT")
@click.argument("subject")
@tenant_option
@json_option
@click.pass_obj
def history(workspace: Workspace, cohort_id: str, subject: str, tenant_id: str, as_json: bool) -> None:
    """Tell the story of one subject: entries and exits with their causes, and what was told about each, and when."""
    tenant = workspace.tenant(tenant_id)
    _known(tenant, cohort_id)
    result = story(tenant, cohort_id, subject)
    told = [event for move in result["moves"] for event in move["told"]]
    sent = _deliveries(workspace, tenant, [event["event_id"] for event in told if event["emission"] == "sent"])
    for event in told:
        event["deliveries"] = sent.get(event["event_id"], [])
    emit(result, as_json, lambda: _print_story(result))


def _deliveries(workspace: Workspace, tenant: Tenant, ids: list[str]) -> dict[str, list[dict[str, Any]]]:
    """What became of events at the endpoints; nothing where there never was one, without making control data."""
    file = make_url(workspace.control_url)
    if not ids or (file.get_backend_name() == "sqlite" and not Path(file.database or "").is_file()):
        return {}
    engine = open_control(workspace.control_url)
    try:
        with reading(engine) as connection:
            return deliveries_of(connection, tenant.id, ids)
    finally:
        engine.dispose()


def _print_story(result: dict[str, Any]) -> None:
    moves = result["moves"]
    title = f"{result['subject']} in {result['cohort_id']}"
    table(["at", "move", "because", "true now"], [[move[name] for name in _MOVE] for move in moves], title)
    told = [[move["effective_at"], *(event[name] for name in _TOLD)] for move in moves for event in move["told"]]
    if told:
        told.sort(key=lambda row: (row[4], row[0]))
        click.echo()
        table(["at", "event", "emission", "withheld because", "noticed at", "id", "supersedes"], told, "what was told")
    names = ("endpoint_id", "state", "attempts", "finished_at")
    sent = [
        [event["event_id"], *(each[name] for name in names)]
        for move in moves
        for event in move["told"]
        for each in event["deliveries"]
    ]
    if sent:
        click.echo()
        table(["event", "endpoint", "state", "attempts", "finished at"], sent, "what was sent")


@click.command("verify")
@tenant_option
@click.option("--from", "first", type=DAY, help="Earliest day to report; the first one where not given.")
@click.option("--to", "last", type=DAY, help="Latest day to read; the newest one where not given.")
@json_option
@click.pass_obj
def verify(workspace: Workspace, tenant_id: str, first: datetime | None, last: datetime | None, as_json: bool) -> None:
    """Check that members, transitions, history, sizes and event log agree on every day; it reads all of them."""
    tenant = workspace.tenant(tenant_id)
    found = list(agreements(tenant, first.date() if first else None, last.date() if last else None))
    if not found:
        raise UsageError(f"no such day was computed; run: murmur run --tenant {tenant_id}")
    wrong = [each for each in found if each.differences]
    result = {
        "tenant": tenant_id,
        "agree": not wrong,
        "days": [_agreement(each) for each in found if each.day],
        "open": next((_agreement(each) for each in found if each.day is None), None),
    }
    emit(result, as_json, lambda: _print_agreements(found))
    if wrong:
        name = next(iter(wrong[0].differences))
        many = "1 day does" if len(wrong) == 1 else f"{len(wrong)} days do"
        raise MurmurError(f"{many} not agree; first {wrong[0].day or 'open spans'}: {COMPARED[name]}")


def _agreement(each: Agreement) -> dict[str, Any]:
    return {
        "date": each.day,
        "members": each.members,
        "sent": each.sent,
        "withheld": each.withheld,
        "differences": each.differences,
    }


def _print_agreements(found: list[Agreement]) -> None:
    rows = [
        [
            str(each.day or "open"),
            each.members,
            each.sent,
            each.withheld,
            ", ".join(f"{name} {count}" for name, count in each.differences.items()) or "agree",
        ]
        for each in found
    ]
    table(["day", "members", "sent", "withheld", "differences"], rows)
    note("compared: " + "; ".join(COMPARED.values()))
