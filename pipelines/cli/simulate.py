"""``murmur simulate``: write the files of an invented retailer, with the true answers beside them."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click

from pipelines.cli.output import DAY, emit, json_option, note, table, tenant_option
from pipelines.config import Workspace
from pipelines.simulator import Disorder, SimulationConfig, write
from pipelines.simulator import simulate as run
from pipelines.simulator.settings import HISTORY_DAYS

SHARE = click.FloatRange(0, 1)


@click.command()
@tenant_option
@click.option("--from", "first", type=DAY, required=True, help="First day with activity.")
@click.option("--to", "last", type=DAY, required=True, help="Last day with activity, included.")
@click.option("--visitors", type=click.IntRange(min=1), required=True, help="Visitors, about 30 events a month each.")
@click.option("--products", type=click.IntRange(min=8), help="SKUs; follows the visitors where not given.")
@click.option("--customers", type=click.IntRange(min=1), help="Customers; half the visitors where not given.")
@click.option(
    "--history-days",
    type=click.IntRange(min=0),
    default=HISTORY_DAYS,
    show_default=True,
    help="Orders reach back this far before the first day.",
)
@click.option(
    "--merged", type=SHARE, default=0.0, metavar="SHARE", help="Share of customers who turn out to be another one."
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Same seed, same bytes.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to.")
@click.option("--shuffle", is_flag=True, help="Rows in any order.")
@click.option("--duplicate", type=SHARE, default=0.0, metavar="SHARE", help="Share of rows sent twice.")
@click.option("--delay", type=SHARE, default=0.0, metavar="SHARE", help="Share of rows sent in a later batch.")
@click.option(
    "--corrupt", type=SHARE, default=0.0, metavar="SHARE", help="Share of rows with a broken copy beside them."
)
@click.option("--batches", type=click.IntRange(1, 9_999), default=1, show_default=True, help="Files for each entity.")
@click.option(
    "--late",
    type=SHARE,
    default=0.0,
    metavar="SHARE",
    help="Share of customers, products and outlets put into late/, to be sent after all else.",
)
@json_option
@click.pass_obj
def simulate(
    workspace: Workspace,
    tenant_id: str,
    first: datetime,
    last: datetime,
    visitors: int,
    products: int | None,
    customers: int | None,
    history_days: int,
    merged: float,
    seed: int,
    out: Path,
    shuffle: bool,
    duplicate: float,
    delay: float,
    corrupt: float,
    batches: int,
    late: float,
    as_json: bool,
) -> None:
    """Invent a retailer's data: one NDJSON file for each entity, and truth/ with the answers."""
    tenant = workspace.tenant(tenant_id)
    config = SimulationConfig(
        zone=tenant.zone,
        first=first.date(),
        last=last.date(),
        visitors=visitors,
        seed=seed,
        currency=tenant.config.currency,
        products=products,
        customers=customers,
        history_days=history_days,
        merged=merged,
    )
    disorder = Disorder(shuffle=shuffle, duplicate=duplicate, delay=delay, corrupt=corrupt, batches=batches, late=late)
    files = write(run(config), out, disorder)
    counted = json.loads((out / "truth" / "rows.json").read_text(encoding="utf-8"))["entities"]
    rows = [{**row, "files": [str(path) for path in files[row["entity"]]]} for row in counted]
    columns = ["entity", "rows", "duplicated", "corrupted", "lines"]

    def people() -> None:
        table([*columns, "files"], [[*(row[name] for name in columns), len(row["files"])] for row in rows])
        note(f"written to {out}; the true answers are in {out / 'truth'}")

    emit({"out": str(out), "entities": rows}, as_json, people)
