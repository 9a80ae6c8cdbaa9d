"""Reverse ETL: the difference of a million rows, one in a hundred changed, against reading both sides.

Floor: the model's table and what was acknowledged are read, every column that is compared decoded, nothing compared.
Floor: the table of the model and what was acknowledged are read, each column that is compared decoded, none compared.
joined with what was acknowledged. Every case runs in a process of its own; ratios of medians.

    python benchmarks/sync.py --rows 1000000 --rounds 3
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
from _measure import DATA, Figures, in_child, interleaved, load, timed

from pipelines.calendar import day_of
from pipelines.config import Tenant, TenantConfig
from pipelines.delivery.reverse_etl.acked import Acknowledged
from pipelines.delivery.reverse_etl.definition import load_sync
from pipelines.delivery.reverse_etl.diff import payload_hash
from pipelines.delivery.reverse_etl.model import desired_rows
from pipelines.delivery.reverse_etl.sync import compare, folder
from schemas.registry import LAKE

LIMIT = 3.0
DAY = date(2026, 6, 1)
FIELDS = ("subject", "cohort_id", "entered_at", "cart_total_value_minor", "currency", "is_member")
SYNC = f"""
model: {{table: cohort_membership}}
key: membership_key
mapping: {{{", ".join(f"{name}: {name}" for name in FIELDS)}}}
mode: mirror
destination: nowhere
"""


def tenant_of(rows: int) -> Tenant:
    """The benchmark's tenant."""
    home = DATA / f"sync-{rows}"
    return Tenant(TenantConfig(id="bench", timezone="UTC"), home, home / "tenant")


def prepare(rows: int) -> None:
    """A day of memberships, and what a destination acknowledged: all of them, each hundredth with another value."""
    tenant = tenant_of(rows)
    if (tenant.home / "complete").exists():
        return
    shutil.rmtree(tenant.home, ignore_errors=True)
    (tenant.folder / "syncs").mkdir(parents=True)
    (tenant.folder / "syncs" / "bench.yaml").write_text(SYNC)
    _write(tenant, rows, moved=True)
    desired = desired_rows(tenant, load_sync(tenant, "bench"))
    memory = folder(tenant, "bench") / "memory"
    memory.mkdir(parents=True)
    desired.select(
        "row_key",
        payload_hash().alias("acked_hash"),
        pl.col("payload").alias("acked_payload"),
        pl.lit(None, dtype=pl.String).alias("failed_hash"),
        pl.lit(0, dtype=pl.Int64).alias("consecutive_failures"),
        pl.lit(None, dtype=pl.Int64).alias("next_retry_at"),
        pl.lit(False).alias("uncertain"),
    ).sort("row_key").write_ipc(memory / "acked.arrow")
    _write(tenant, rows, moved=False)
    (tenant.home / "complete").touch()


def _write(tenant: Tenant, rows: int, *, moved: bool) -> None:
    contract, start = LAKE["cohort_membership"], day_of(DAY, tenant.zone).start
    number = pl.int_range(rows, eager=True).alias("number")
    frame = number.to_frame().select(
        pl.lit("cart_abandoner").alias("cohort_id"),
        pl.lit("v1").alias("definition_version"),
        pl.format("v{}", pl.col("number").cast(pl.String).str.zfill(17)).alias("subject"),
        pl.format("k{}", (pl.col("number") * 7919 % 10**9).cast(pl.String).str.zfill(31)).alias("membership_key"),
        pl.lit("visitor").alias("subject_type"),
        pl.lit(True).alias("is_member"),
        (pl.lit(start).cast(pl.Datetime("us", "UTC")) - pl.duration(seconds="number")).alias("entered_at"),
        (pl.col("number") % 9973 + pl.when((pl.col("number") % 100 == 0) & moved).then(1).otherwise(0)).alias(
            "cart_total_value_minor"
        ),
        pl.lit("GBP").alias("currency"),
        pl.lit(start).cast(pl.Datetime("us", "UTC")).alias("updated_at"),
    )
    missing = [pl.lit(None, dtype=c.dtype).alias(c.name) for c in contract if c.name not in (*frame.columns, "date")]
    with tenant.lake.writer("cohort_membership") as writer:
        writer.put(DAY, frame.with_columns(missing))


def floor(rows: int) -> None:
    """Read both sides."""
    tenant = tenant_of(rows)
    wanted = tenant.lake.scan("cohort_membership").select("membership_key", *FIELDS).collect()
    acked = pl.read_ipc(folder(tenant, "bench") / "memory" / "acked.arrow")
    assert wanted.height == acked.height == rows


def ours(rows: int) -> None:
    """What a run would send."""
    now = int(datetime(2026, 6, 2, tzinfo=UTC).timestamp()) * 1_000_000
    found = compare(tenant_of(rows), "bench", now).counts()
    assert (found["changed"], found["unchanged"]) == (-(-rows // 100), rows - -(-rows // 100))


def remembered(rows: int) -> None:
    """What was acknowledged, as a run reads it."""
    assert Acknowledged(folder(tenant_of(rows), "bench") / "memory").known().height == rows


CASES = {"floor": floor, "diff": ours, "memory": remembered}


def main() -> int:
    """Print the figures; exit 1 when the limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", choices=[*CASES, "prepare"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case == "prepare":
        print(json.dumps(timed(lambda: prepare(options.rows))))
        return 0
    if options.case:
        print(json.dumps(timed(lambda: CASES[options.case](options.rows))))
        return 0

    def child(case: str) -> Figures:
        return in_child(str(Path(__file__)), ["--rows", str(options.rows), "--case", case])

    child("prepare")
    found = interleaved({case: lambda case=case: child(case) for case in CASES}, options.rounds)
    for case, row in found.items():
        print(f"{case:8} {row['wall']:6.2f} s wall {row['cpu']:6.2f} s CPU {row['mb']:6.0f} MB")
    wall, cpu = (found["diff"][unit] / found["floor"][unit] for unit in ("wall", "cpu"))
    reached = cpu <= LIMIT
    print(
        f"diff against reading: {cpu:.2f} CPU, {wall:.2f} wall (limit {LIMIT:g}): {'reached' if reached else 'missed'}"
    )
    print(load())
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
