"""NDJSON to a queryable partition, against the least that any program must do with the same file, and against dlt.

Floor: DuckDB parses the file by the contract's column list into typed columns, the frame is sorted by day and id and
written as snappy Parquet, and the input is compressed (zstd, level 1, as the vault does); both files are flushed, both
tasks run side by side. Ours: ``murmur ingest`` in full, then the step that publishes ``customer_events`` of its days.
dlt: ``_load_with_dlt.py``, with its own settings and with those that its guide advises, in an environment of its own
(``make bench`` makes it). It ends where ``murmur ingest`` ends, with Parquet files that can be read, so that these two
are compared; what is published besides is shown.

Every case runs in a fresh process, cases take turns, ratios are of medians. Against the floor, CPU seconds of the
process and its children decide, since others may share the cores; against dlt, which uses one core by itself, elapsed
time does. Both are printed. Memory is the highest of all runs, and of one run of a larger file.

    python benchmarks/ingest.py --rows 500000 2000000 --large 8000000 --rounds 3
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
from _events import events_file
from _measure import DATA, Figures, in_child, interleaved, load, timed

from pipelines.config import Tenant, TenantConfig
from pipelines.entities.steps import customer_events
from pipelines.landing.ingest import ingest_file
from pipelines.storage.durable import fsync_file
from schemas.entities import ENTITIES

LIMIT = 2.0
LIMIT_MB = 1024
LIMIT_DLT = 20.0
BLOCK = 8 << 20
DLT_PROGRAM = Path(__file__).parent / "_load_with_dlt.py"
DLT_CASES = {"dlt": "plain", "dlt tuned": "tuned"}
DLT_PYTHON = Path(__file__).parent / ".venv" / "bin" / "python"


def floor(file: Path) -> None:
    """Parse, sort, write and flush; compress, write and flush the input beside it."""
    with _folder() as folder, ThreadPoolExecutor(1) as pool:
        kept = pool.submit(_compress, file, folder / "input.zst")
        path = folder / "events.parquet"
        _parsed(file).sort("date", "external_id").write_parquet(path, compression="snappy")
        fsync_file(path)
        kept.result()


def _parsed(file: Path) -> pl.DataFrame:
    types = {"timestamp": "TIMESTAMPTZ", "int64": "BIGINT"}
    columns = {c.name: types.get(c.kind, "VARCHAR") for c in ENTITIES["customer_events"].received}
    with duckdb.connect() as connection:
        connection.execute("set timezone='UTC'")
        frame = connection.sql(
            f"select * from read_json('{file}', format='newline_delimited', auto_detect=false, columns={columns})"
        ).pl()
    return frame.with_columns(pl.col("occurred_at").dt.date().alias("date"))


def _compress(file: Path, target: Path) -> None:
    codec = pa.Codec("zstd", 1)
    with file.open("rb") as source, target.open("wb") as sink:
        while block := source.read(BLOCK):
            sink.write(codec.compress(block, asbytes=True))
    fsync_file(target)


def ingest(file: Path) -> None:
    """``murmur ingest`` of the file into a fresh home."""
    with _folder() as home:
        _ingested(home, file)


def queryable(file: Path) -> None:
    """The same, and the partitions of its days published."""
    with _folder() as home:
        tenant, days = _ingested(home, file)
        customer_events(tenant, days)
        assert sum(tenant.lake.rows("customer_events").values()) > 0


def _ingested(home: Path, file: Path) -> tuple[Tenant, tuple]:
    tenant = Tenant(TenantConfig(id="bench", timezone="Europe/London"), home, home)
    receipt = ingest_file(tenant, "customer_events", file, received_at=datetime(2026, 2, 1, tzinfo=UTC))
    assert receipt.received == receipt.accepted + receipt.duplicate + receipt.superseded + receipt.quarantined
    return tenant, receipt.dates


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=DATA))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


CASES = {"floor": floor, "ingest": ingest, "queryable": queryable}


def child(case: str, file: Path) -> Figures:
    """Figures of a case in a fresh process."""
    if case in DLT_CASES:
        return in_child(str(DLT_PROGRAM), [str(file), DLT_CASES[case]], str(DLT_PYTHON))
    return in_child(__file__, ["--case", case, "--file", str(file)])


def against_floor(rows: int, rounds: int) -> bool:
    """Compare one size with its floor; whether the limits hold."""
    file = events_file(rows)
    found = interleaved({case: lambda case=case: child(case, file) for case in CASES}, rounds)
    print(f"\n{rows:,} events, {file.stat().st_size / 1e6:,.0f} MB of NDJSON, medians of {rounds}")
    _table(found, rows)
    base, ours = found["floor"], found["queryable"]
    ratio = ours["cpu"] / base["cpu"]
    good = ratio <= LIMIT and ours["mb"] < LIMIT_MB
    print(
        f"queryable against floor: {ratio:.2f} CPU, {ours['wall'] / base['wall']:.2f} wall (limit {LIMIT:g}), "
        f"{ours['mb']:.0f} MB (limit {LIMIT_MB}): {_verdict(good)}"
    )
    return good


def memory(rows: int) -> bool:
    """Memory of one run of a larger file."""
    figures = child("queryable", events_file(rows))
    good = figures["mb"] < LIMIT_MB
    print(f"\n{rows:,} events once")
    _table({"queryable": figures}, rows)
    print(f"memory {figures['mb']:.0f} MB (limit {LIMIT_MB}): {_verdict(good)}")
    return good


def against_dlt(rows: int, rounds: int) -> bool:
    """Compare with dlt on one file; only dlt as it comes has a limit."""
    if not DLT_PYTHON.exists():
        print(f"\ndlt: not measured, {DLT_PYTHON} is missing; `make bench` makes it: {_verdict(False)}")
        return False
    file = events_file(rows)
    ours = ("ingest", "queryable")
    found = interleaved({case: lambda case=case: child(case, file) for case in (*ours, *DLT_CASES)}, rounds)
    print(f"\n{rows:,} events, against dlt")
    _table(found, rows)
    for case in DLT_CASES:
        for own in ours:
            cpu, wall = (found[case][unit] / found[own][unit] for unit in ("cpu", "wall"))
            print(f"{own} {wall:.1f} times as fast as {case}, {cpu:.1f} times by CPU")
    reached = found["dlt"]["wall"] / found["ingest"]["wall"] >= LIMIT_DLT
    print(f"ingest against dlt, elapsed (at least {LIMIT_DLT:g} times as fast): {_verdict(reached)}")
    return reached


def _table(found: dict[str, Figures], rows: int) -> None:
    for case, row in found.items():
        rate = rows / row["wall"] / 1e3
        print(f"{case:10} {row['wall']:7.2f} s wall {row['cpu']:7.2f} s CPU {rate:7.0f} k rows/s {row['mb']:6.0f} MB")


def _verdict(good: bool) -> str:
    return "reached" if good else "missed"


def main() -> int:
    """Print the figures; exit 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[500_000, 2_000_000])
    parser.add_argument("--large", type=int, default=8_000_000)
    parser.add_argument("--dlt", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(timed(lambda: CASES[options.case](options.file))))
        return 0
    good = [against_floor(rows, options.rounds) for rows in options.rows]
    good += [memory(options.large)] if options.large else []
    good += [against_dlt(options.dlt, options.rounds)] if options.dlt else []
    print(f"\n{load()}")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
