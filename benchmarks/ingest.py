"""Ingestion of NDJSON customer events against its floor, in one run: parse by DuckDB plus sorted snappy write.

The floor reads the same file by the same column list into typed columns, sorts the frame by day and id, and writes one
snappy Parquet file that is flushed to the same disk, as landing flushes its own.

Run: ``python benchmarks/ingest.py [--rows N] [--repeat N]``. Data is made once under ``benchmarks/.data``. Every case
runs in a process of its own, cases interleaved; the ratio of median wall times is the figure, beside rows a second and
peak RSS.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pipelines.config import Tenant, TenantConfig  # noqa: E402
from pipelines.landing.ingest import ingest_file  # noqa: E402
from pipelines.storage.durable import fsync_file  # noqa: E402
from schemas.entities import ENTITIES  # noqa: E402

DATA = Path(__file__).parent / ".data"
START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
DAYS = 30
LIMIT = 2.0
LIMIT_RSS_MB = 2560


def data_file(rows: int) -> Path:
    """NDJSON of 30 days of events in time order: 1 % with an id sent before, a tenth with products, a third known."""
    path = DATA / f"customer_events-{rows}.ndjson"
    if path.exists():
        return path
    DATA.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(7)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        for start in range(0, rows, 250_000):
            frame = _events(random, start, min(250_000, rows - start), rows)
            frame.write_ndjson(file)
    temporary.replace(path)
    return path


def _events(random: np.random.Generator, start: int, count: int, rows: int) -> pl.DataFrame:
    names = np.array(["Product Viewed", "Product Added", "Cart Viewed", "Checkout Started", "Order Completed"])
    place = np.arange(start, start + count)
    ids = np.where(random.random(count) < 0.01, np.maximum(place - 1000, 0), place)
    visitor = random.integers(0, max(rows // 8, 1), count)
    product = random.zipf(1.2, count) % 50_000
    at = START + place * (DAYS * 86_400_000_000 // rows)
    frame = pl.DataFrame({"id": ids, "visitor": visitor, "product": product, "at": at})
    name = pl.Series(names[random.choice(5, count, p=[0.7, 0.12, 0.08, 0.06, 0.04])])
    known = pl.col("visitor") % 3 == 0
    lined = pl.col("product") % 10 == 0
    line = pl.struct(
        pl.format("sku-{}", "product").alias("product_id"),
        pl.lit(1).alias("quantity"),
        (pl.col("product") * 7 + 99).alias("unit_price_minor"),
        pl.lit("GBP").alias("currency"),
    )
    return frame.select(
        pl.format("evt-{}", pl.col("id").cast(pl.String).str.zfill(12)).alias("external_id"),
        name.alias("event_name"),
        pl.col("at").cast(pl.Datetime("us")).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").alias("occurred_at"),
        pl.when(known).then(pl.format("cus-{}", "visitor")).alias("customer_id"),
        pl.format("fv-{}", pl.col("visitor").cast(pl.String).str.zfill(14)).alias("flockr_vid"),
        pl.format("ses-{}-{}", "visitor", pl.col("at") // 3_600_000_000).alias("session_id"),
        pl.lit("web").alias("channel"),
        pl.format("sku-{}", "product").alias("product_id"),
        pl.when(lined).then(pl.concat_list(line)).alias("products"),
        pl.format("cart-{}", "visitor").alias("cart_id"),
        (pl.col("product") * 7 + 99).alias("value_minor"),
        pl.lit("GBP").alias("currency"),
        pl.format("/p/sku-{}", "product").alias("url_path"),
        pl.lit("mobile").alias("device_type"),
        pl.lit("human").alias("agent_class"),
    )


def floor(file: Path) -> int:
    """Parse with the explicit column list into typed columns, sort as landing does, write snappy Parquet."""
    entity = ENTITIES["customer_events"]
    types = {"timestamp": "TIMESTAMPTZ", "int64": "BIGINT"}
    columns = {column.name: types.get(column.kind, "VARCHAR") for column in entity.received}
    with duckdb.connect() as connection:
        connection.execute("set timezone='UTC'")
        frame = connection.sql(
            f"select * from read_json('{file}', format='newline_delimited', auto_detect=false, columns={columns})"
        ).pl()
    typed = frame.with_columns(pl.col("occurred_at").dt.date().alias("date"))
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        path = Path(folder) / "f.parquet"
        typed.sort("date", "external_id").write_parquet(path, compression="snappy")
        fsync_file(path)
    return typed.height


def ours(file: Path) -> int:
    """The whole of ``murmur ingest`` of the file into a fresh home."""
    home = Path(tempfile.mkdtemp(dir=DATA))
    try:
        tenant = Tenant(TenantConfig(id="bench", timezone="Europe/London"), home, home)
        receipt = ingest_file(tenant, "customer_events", file, received_at=datetime(2026, 2, 1, tzinfo=UTC))
        assert receipt.received == receipt.accepted + receipt.duplicate + receipt.superseded + receipt.quarantined
        return receipt.received
    finally:
        shutil.rmtree(home)


CASES = {"floor": floor, "ours": ours}


def _child(case: str, file: Path) -> None:
    started, used = time.perf_counter(), time.process_time()
    rows = CASES[case](file)
    wall, cpu = time.perf_counter() - started, time.process_time() - used
    print(rows, wall, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measure(file: Path, repeat: int) -> dict[str, dict[str, float]]:
    """Median rows, wall and CPU seconds, and largest RSS (MB) of each case."""
    runs: dict[str, list[list[float]]] = {case: [] for case in CASES}
    for _ in range(repeat):
        for case in CASES:
            command = [sys.executable, __file__, "--case", case, "--file", str(file)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            runs[case].append([float(x) for x in output.split()])
    return {
        case: {
            "rows": found[0][0],
            "wall": statistics.median(run[1] for run in found),
            "cpu": statistics.median(run[2] for run in found),
            "rss": max(run[3] for run in found),
        }
        for case, found in runs.items()
    }


def main() -> int:
    """Print the figures; exit 1 when a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--file", type=Path)
    options = parser.parse_args()
    if options.case:
        _child(options.case, options.file)
        return 0
    file = data_file(options.rows)
    found = measure(file, options.repeat)
    for case, figures in found.items():
        rate = figures["rows"] / figures["wall"] / 1e6
        print(
            f"{case:6} {figures['rows']:>10,.0f} rows  {figures['wall']:6.2f} s wall  {figures['cpu']:6.2f} s cpu  "
            f"{rate:5.2f} Mrows/s  {figures['rss']:6.0f} MB peak"
        )
    ratio = found["ours"]["wall"] / found["floor"]["wall"]
    cpu = found["ours"]["cpu"] / found["floor"]["cpu"]
    good = ratio <= LIMIT and found["ours"]["rss"] <= LIMIT_RSS_MB
    verdict = "ok" if good else "LIMIT BROKEN"
    print(f"ratio  {ratio:.2f} wall, {cpu:.2f} cpu (limit {LIMIT} wall, {LIMIT_RSS_MB} MB)  {verdict}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
