"""``make demo``: a month of a simulated retailer, from raw entity files to Parquet, CSV and received webhooks.

Everything goes through what a user would call: the command line for simulating, sending and listening, Dagster for the
pipeline. Running it again changes nothing, since equal batches, partitions and events are recognised.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from assets import demo_slack
from assets.materialise import instance_of, run_job
from pipelines.cli.ingest import COUNTS
from pipelines.cli.output import table
from pipelines.config import Tenant, Workspace
from pipelines.errors import MurmurError
from schemas.entities import ENTITIES
from schemas.registry import LAKE

TENANT = "demo"
ROOT = Path(__file__).resolve().parent.parent
SHOWN_WEBHOOKS = 12
SHOWN_TRANSITIONS = 6


@dataclass(frozen=True)
class Demo:
    """One demo: where it runs and what it is about."""

    workspace: Workspace
    tenant: Tenant
    first: date
    last: date
    visitors: int
    seed: int
    console: Console

    def murmur(self, *arguments: str) -> Any:
        """Call the command line with ``--json`` and return its result.

        Raises:
            MurmurError: the command failed; carries its reason.
        """
        done = subprocess.run(
            [*self.command, *arguments, "--json"], capture_output=True, text=True, env=self.environment, check=False
        )
        if done.returncode:
            raise MurmurError(f"murmur {arguments[0]}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    @property
    def command(self) -> list[str]:
        """The command line with this demo's folders."""
        where = ["--home", str(self.workspace.home), "--tenants", str(self.workspace.tenants)]
        return [sys.executable, "-m", "pipelines.cli", *where]

    @property
    def environment(self) -> dict[str, str]:
        """Loopback receivers are allowed in development only."""
        return {**os.environ, "MURMUR_DEVELOPMENT": "1"}


@click.command()
@click.option("--days", default=30, show_default=True, type=click.IntRange(2, 400))
@click.option("--visitors", default=4000, show_default=True, type=click.IntRange(50))
@click.option("--seed", default=7, show_default=True)
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="Last simulated day; yesterday where not given.")
def demo(days: int, visitors: int, seed: int, last: datetime | None) -> None:
    """Simulate a month, run the pipeline through Dagster, receive webhooks, and say what was made."""
    os.environ["MURMUR_DEVELOPMENT"] = "1"
    console = Console(stderr=False)
    workspace = Workspace.from_environment()
    tenant = workspace.tenant(TENANT)
    newest = last.date() if last else datetime.now(tenant.zone).date() - timedelta(days=1)
    run = Demo(workspace, tenant, newest - timedelta(days=days - 1), newest, visitors, seed, console)
    started = time.monotonic()
    try:
        play(run)
    except MurmurError as error:
        raise click.ClickException(str(error)) from None
    console.print(f"\nready in {time.monotonic() - started:.0f} s")


def play(run: Demo) -> None:
    """The acts of the demo, in order."""
    say = run.console.print
    say(f"[bold]1  a retailer, {run.first} to {run.last}, {run.visitors:,} visitors[/bold]")
    source = simulate(run)
    say("\n[bold]2  its records arrive[/bold]")
    ingest(run, source)
    say("\n[bold]3  the pipeline, through Dagster[/bold]")
    with instance_of(run.workspace, ROOT / "dagster.yaml") as instance:
        endpoint = register(run, "demo receiver", ["--event", "cohort.entered", "--event", "cohort.exited"])
        bridge = register(run, "demo Slack bridge", demo_slack.WANTED)
        run_job(run.workspace, instance, TENANT, "daily", (run.first, run.last), run.console)
        say("\n[bold]4  webhooks, verified by a local receiver[/bold]")
        with (
            listening(run, endpoint) as lines,
            demo_slack.told_slack(source, run.workspace.home / "demo", bridge.port, bridge.secret) as messages,
        ):
            wait_for_port(bridge.port)
            run_job(run.workspace, instance, TENANT, "deliver", None, run.console)
            time.sleep(0.5)
        show_webhooks(run, lines)
    say("\n[bold]5  Slack, told by a bridge who left a valuable cart behind[/bold]")
    show_slack(run, messages)
    say("\n[bold]6  what was made[/bold]")
    summarise(run)


def simulate(run: Demo) -> Path:
    """Entity files of the simulated retailer; made once per range, size and seed."""
    name = f"{run.first}_{run.last}_{run.visitors}_{run.seed}"
    out = run.workspace.home / "demo" / name
    if not (out / "done").exists():
        size = ["--visitors", str(run.visitors), "--seed", str(run.seed)]
        span = ["--from", str(run.first), "--to", str(run.last), "--history-days", "0"]
        disorder = ["--shuffle", "--duplicate", "0.01", "--corrupt", "0.002"]
        run.murmur("simulate", "--tenant", TENANT, *span, *size, *disorder, "--out", str(out))
        (out / "done").touch()
    run.console.print(f"  {sum(1 for _ in out.glob('*.ndjson'))} entity files in {out}")
    return out


def ingest(run: Demo, source: Path) -> None:
    """Send every file, in an order that knows nothing of references."""
    rows = []
    for entity in sorted(ENTITIES):
        files = sorted(source.glob(f"{entity}.ndjson")) + sorted(source.glob(f"{entity}.[0-9]*.ndjson"))
        if not files:
            continue
        result = run.murmur("ingest", "--tenant", TENANT, "--entity", entity, *map(str, files))
        total = result["total"]
        rows.append([entity, *total.values()])
    table(["entity", *COUNTS], rows)


@dataclass(frozen=True)
class Endpoint:
    """A registered receiver and the secret it verifies with."""

    port: int
    secret: str


def register(run: Demo, description: str, wanted: Sequence[str]) -> Endpoint:
    """Register a local receiver before the pipeline runs; a second demo rotates its secret."""
    for known in run.murmur("webhook", "list", "--tenant", TENANT):
        if known["description"] == description:
            rotated = run.murmur("webhook", "rotate", known["endpoint_id"])
            return Endpoint(int(known["url"].rsplit(":", 1)[1].split("/")[0]), rotated["secret"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    about = ["--description", description, "--allow-private"]
    added = run.murmur("webhook", "add", "--tenant", TENANT, f"http://127.0.0.1:{port}/", *wanted, *about)
    return Endpoint(port, added["secret"])


@contextmanager
def listening(run: Demo, endpoint: Endpoint) -> Iterator[list[str]]:
    """Run ``murmur listen`` beside the delivery; the lines it printed are complete when the block ends."""
    command = [*run.command, "listen", "--port", str(endpoint.port)]
    environment = {**run.environment, "MURMUR_LISTEN_SECRET": endpoint.secret, "PYTHONUNBUFFERED": "1"}
    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as listener:
        try:
            wait_for_port(endpoint.port)
            yield lines
        finally:
            listener.terminate()
            lines += (listener.stdout.read() if listener.stdout else "").splitlines()


def wait_for_port(port: int, seconds: float = 20) -> None:
    """Block until something listens on a loopback port.

    Raises:
        MurmurError: nothing did in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise MurmurError(f"the receiver on port {port} did not start; is the port taken?")


def show_webhooks(run: Demo, lines: list[str]) -> None:
    """Some of what the receiver verified."""
    received = [line for line in lines if line.strip()]
    for line in received[:SHOWN_WEBHOOKS]:
        run.console.print(f"  {line}", highlight=False, soft_wrap=True)
    if not received:
        run.console.print("  nothing new to tell: every transition is sent once")
    else:
        run.console.print(f"  {len(received):,} received, {min(len(received), SHOWN_WEBHOOKS)} shown")


def show_slack(run: Demo, messages: list[dict[str, Any]]) -> None:
    """The newest messages, as the channel sees them."""
    for line in demo_slack.lines(messages):
        run.console.print(f"  {line}", highlight=False, soft_wrap=True, markup=False)
    told = f"{len(messages):,} messages" if messages else "nothing new to tell: each cart is told once"
    run.console.print(f"  {told}")


def summarise(run: Demo) -> None:
    """Rows by table, cohort sizes, some transitions, where the files are, and what to try next."""
    lake = run.tenant.lake
    counted = {name: lake.rows(name) for name in LAKE if lake.exists(name)}
    filled = [[name, sum(rows.values()), len(rows.keys() - {None}) or None] for name, rows in counted.items()]
    table(["table", "rows", "days"], [row for row in filled if row[1]], "lake tables")
    sizes = lake.scan("cohort_sizes", [run.last]).sort("cohort_id").select("cohort_id", "size", "entered", "exited")
    table(["cohort", "members", "entered", "exited"], sizes.collect().rows(), f"\ncohorts on {run.last}")
    columns = ["effective_at", "cohort_id", "subject", "direction", "caused_by"]
    moves = lake.scan("cohort_transitions", [run.last]).sort("effective_at", "transition_id").select(columns)
    newest = moves.tail(SHOWN_TRANSITIONS).collect()
    table(["instant", "cohort", "subject", "move", "because"], newest.rows(), "\nsome transitions")
    show_next(run, *(newest.select("cohort_id", "subject").row(0) if newest.height else ("COHORT", "SUBJECT")))


def show_next(run: Demo, cohort: str, subject: str) -> None:
    """Where the files are, and commands to go on with."""
    home = os.path.relpath(run.workspace.home)
    murmur = f".venv/bin/murmur --home {home}"
    query = "select cohort_id, date, size from cohort_sizes order by all desc limit 10"
    run.console.print(
        f"\nfiles\n  lake     {home}/lake/{TENANT}\n  Parquet  {home}/buckets/s3\n  CSV      {home}/buckets/gcs\n"
        "\ntry next\n"
        "  make ui\n"
        f"  {murmur} cohort explain {shlex.quote(cohort)} {subject} --tenant {TENANT} --as-of {run.last}\n"
        f'  {murmur} query --tenant {TENANT} "{query}"',
        highlight=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    demo()
