"""``murmur signal``: list the signals, show the newest values of one, and everything that is known of one subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import click
import polars as pl

from pipelines.cli.output import emit, json_option, note, table, tenant_option
from pipelines.config import Tenant, TenantConfig, Workspace
from pipelines.errors import UsageError
from pipelines.signals import windows
from pipelines.signals.catalogue import Signal, signals
from pipelines.visitor_signals.page import page as as_page
from pipelines.visitor_signals.resolve import visitor_signals

SHOWN = ["date", "signal_id", "subject", "place", "value", "state", "value_prev", "state_prev", "definition_version"]
MOVED = ["effective_at", "signal_id", "place", "from_state", "to_state", "value_after", "suppressed_by"]
OF_SUBJECT = ["signal_id", "item", "value", "state", "value_prev", "state_prev", "instant", "definition_version"]


@dataclass(frozen=True)
class Tables:
    """Where signals of a kind of subject are published.

    Attributes:
        snapshots: table of values.
        crossings: table of moves.
        item: the column that tells several rows of one signal and subject apart.
    """

    snapshots: str
    crossings: str
    item: str

    @property
    def moved(self) -> list[str]:
        """Columns of a crossing that are shown."""
        return [name for name in MOVED if name != "place" or self.item == "place"]

    @property
    def shown(self) -> list[str]:
        """Columns of a value that are shown."""
        return [self.item if name == "place" else name for name in SHOWN]


PRODUCTS = Tables("signal_snapshots", "signal_crossings", "place")
VISITORS = Tables("visitor_signal_snapshots", "visitor_signal_crossings", "item")


@click.group()
def signal() -> None:
    """List and show signals of products, visitors and customers."""


def _known(tenant: Tenant) -> dict[str, tuple[Signal, str]]:
    """Definition and version of every signal by id."""
    of_products = {key: (each, each.definition_version) for key, each in signals(tenant).items()}
    return of_products | {key: (each.signal, each.version) for key, each in visitor_signals(tenant).items()}


@signal.command("list")
@tenant_option
@json_option
@click.pass_obj
def list_signals(workspace: Workspace, tenant_id: str, as_json: bool) -> None:
    """List the signals with their version and what they say."""
    rows = [
        {
            "signal": each.id,
            "subject": each.subject,
            "family": each.family,
            "signal_ids": each.signal_ids,
            "description": each.description,
            "definition_version": version,
        }
        for each, version in _known(workspace.tenant(tenant_id)).values()
    ]
    columns = ["signal", "subject", "family", "definition_version", "description"]
    shown = ["signal", "subject", "family", "version", "description"]
    emit(rows, as_json, lambda: table(shown, [[row[name] for name in columns] for row in rows]))


@signal.command("show")
@click.argument("signal_id", metavar="SIGNAL")
@click.argument("subject")
@tenant_option
@click.option("--days", default=14, show_default=True, help="How many of the newest days.")
@json_option
@click.pass_obj
def show(workspace: Workspace, signal_id: str, subject: str, tenant_id: str, days: int, as_json: bool) -> None:
    """Show a signal of one product, visitor or customer, newest day first: values and states, and what crossed."""
    tenant = workspace.tenant(tenant_id)
    known = _known(tenant)
    definition = known[signal_id][0] if signal_id in known else None
    wanted = definition.signal_ids if definition else [signal_id]
    ids = sorted(name for each, _ in known.values() for name in each.signal_ids)
    if not set(wanted) <= set(ids):
        raise UsageError(f"signal {signal_id!r} is not there; signals: {', '.join(ids)}")
    place = VISITORS if definition is not None and definition.subject != "product" else PRODUCTS
    newest = tenant.lake.days(place.snapshots)[-days:]
    asked = pl.col("signal_id").is_in(wanted) & (pl.col("subject") == subject)
    frame, moves = _values(tenant, place, newest, asked), _moves(tenant, place, newest, asked)
    if definition is not None and definition.is_event:
        emit(moves.to_dicts(), as_json, lambda: table(place.moved, list(moves.iter_rows())))
        return
    emit(frame.to_dicts(), as_json, lambda: _tables(place, frame, moves))


def _snapshots(tenant: Tenant, place: Tables, days: Sequence[date]) -> pl.LazyFrame:
    """Values of some days; of products those too that are columns of ``signal_windows``."""
    rows = tenant.lake.scan(place.snapshots, days)
    return pl.concat([rows, windows.snapshots(tenant.lake, days, signals(tenant))]) if place is PRODUCTS else rows


def _values(tenant: Tenant, place: Tables, days: Sequence[date], asked: pl.Expr) -> pl.DataFrame:
    rows = _snapshots(tenant, place, days).filter(asked).select(place.shown)
    return rows.sort("date", "signal_id", place.item, descending=[True, False, False]).collect()


def _moves(tenant: Tenant, place: Tables, days: Sequence[date], asked: pl.Expr) -> pl.DataFrame:
    rows = tenant.lake.scan(place.crossings, days).filter(asked).select(place.moved)
    order = ["signal_id", *(["place"] if "place" in place.moved else [])]
    return rows.sort("effective_at", *order, descending=[True, *(False for _ in order)]).collect()


def _tables(place: Tables, frame: pl.DataFrame, moves: pl.DataFrame) -> None:
    table(place.shown[:-1], [row[:-1] for row in frame.iter_rows()])
    if moves.height:
        table(place.moved, list(moves.iter_rows()))


@signal.command("page")
@click.option("--tenant", "tenant_id", metavar="ID", help="Show the tenant's own signals and parameters.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write a file instead of printing.")
@click.pass_obj
def page(workspace: Workspace, tenant_id: str | None, out: Path | None) -> None:
    """Print a Markdown page that shows every signal of visitors and customers."""
    plain = Tenant(TenantConfig(id="shipped", timezone="UTC"), workspace.home, workspace.home / "shipped")
    text = as_page(visitor_signals(workspace.tenant(tenant_id) if tenant_id else plain))
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
        note(f"wrote {out}")


@signal.command("of")
@click.argument("subject")
@tenant_option
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Tenant day; the newest one where not given.")
@json_option
@click.pass_obj
def of(workspace: Workspace, subject: str, tenant_id: str, as_of: datetime | None, as_json: bool) -> None:
    """Show every signal of one visitor, customer or product at the end of a day."""
    tenant = workspace.tenant(tenant_id)
    found = []
    for place in (PRODUCTS, VISITORS):
        days = tenant.lake.days(place.snapshots)
        day = as_of.date() if as_of else max(days, default=None)
        if day not in days:
            continue
        rows = _snapshots(tenant, place, [day]).filter(pl.col("subject") == subject).collect()
        if place is PRODUCTS:
            rows = rows.rename({"place": "item"}).with_columns(pl.lit(None, pl.Datetime("us", "UTC")).alias("instant"))
        found.append(rows.select("date", *OF_SUBJECT).sort("signal_id", "item"))
    shown = pl.concat(found).to_dicts() if found else []
    if not shown:
        raise UsageError(f"nothing is known of {subject!r} on that day; days: murmur status --tenant {tenant_id}")
    emit(shown, as_json, lambda: table(OF_SUBJECT, [[row[name] for name in OF_SUBJECT] for row in shown]))
