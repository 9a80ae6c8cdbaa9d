"""Exporting a partition against bare Polars writing the same sorted frame: time, and memory as the partition grows.

Parquet: rows become a finished file, checked, with logical hash in the footer and sha256; floor is ``write_parquet``
with snappy and the sha256 of its file. What publishing adds (store, verify, manifest, copy, marker) is printed beside.
CSV: the same for ``campaign_customers``; floor is ``write_csv``. Every case runs in a fresh process, cases take turns,
and ratios are of medians of CPU seconds, since others may share the cores. Memory: the whole export of a partition of
the lake, read, written and published, whose peak must not grow with the number of rows.

    python benchmarks/exports.py --rows 10000000 --rounds 3
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from _measure import DATA, Figures, in_child, interleaved, load, timed

from pipelines.calendar import day_of
from pipelines.exports.csv_format import write_csv
from pipelines.exports.parquet import write_partition
from pipelines.exports.publish import publish
from pipelines.exports.revision import Place
from pipelines.exports.stream import lake_pieces
from pipelines.storage.hashing import file_sha256, identifiers
from pipelines.storage.lake import Lake
from pipelines.storage.objects import LocalStore
from schemas.exports import CSV_FILES, file_contract

PARQUET_LIMIT, CSV_LIMIT, MEMORY_LIMIT = 1.3, 1.5, 1.2
DATASET, CSV = "cohort_membership", "campaign_customers"
DAY = date(2026, 1, 1)
COHORTS = 20
_INSTANT = pl.Datetime("us", "UTC")
_PIECE = 500_000


def members(first: int, count: int, rows: int) -> pl.DataFrame:
    """Some rows of a day of memberships in the order of their key, ``first`` on, of ``rows`` in all."""
    random = np.random.default_rng(first)
    each = rows // COHORTS
    place = pl.DataFrame({"n": np.arange(first, first + count)})
    at = pl.Series(random.integers(1_760_000_000, 1_770_000_000, count))
    visitor, cart = pl.col("n") % each * 37, pl.col("n") // each < 4
    subject = pl.format("fv-{}", visitor.cast(pl.String).str.zfill(14))
    cohort = pl.format("cohort_{}", (pl.col("n") // each).cast(pl.String).str.zfill(2))
    filled = {
        "cohort_id": cohort,
        "definition_version": pl.lit("0123456789abcdef"),
        "subject": subject,
        "membership_key": identifiers([cohort, subject]),
        "subject_type": pl.lit("visitor"),
        "flockr_vid": subject,
        "external_id": pl.when(visitor % 3 == 0).then(pl.format("cus-{}", visitor)),
        "is_member": pl.col("n") % 11 != 0,
        "entered_at": pl.lit(at).cast(pl.Int64) * 1_000_000,
        "cart_total_value_minor": pl.when(cart).then(pl.col("n") % 10_007),
        "currency": pl.when(cart).then(pl.lit("GBP")),
        "cart_product_ids": pl.when(cart).then(pl.format('["sku-{}"]', pl.col("n") % 5003)),
        "ltv_minor": pl.when(visitor % 3 == 0).then(pl.col("n") % 99_991),
        "updated_at": (pl.lit(at).cast(pl.Int64) + 100) * 1_000_000,
    }
    return place.select(_filled(filled, file_contract(DATASET)))


def customers(rows: int) -> pl.DataFrame:
    """Selected customers of ten campaigns, in the order of the file."""
    each = rows // 10
    place = pl.DataFrame({"n": np.arange(rows)})
    at = 1_770_000_000_000_000 + pl.col("n") % 86_400 * 1_000_000
    filled = {
        "campaign_id": pl.format("cmp-{}", pl.col("n") // each),
        "customer_id": pl.format("cus-{}", (pl.col("n") % each).cast(pl.String).str.zfill(10)),
        "variant": pl.lit("treatment"),
        "selected_at": at,
        "channel": pl.lit("email"),
        "status": pl.lit("delivered"),
        "sent_at": at,
        "delivered_at": at,
        "open_count": pl.col("n") % 3,
        "click_count": pl.col("n") % 2,
        "revenue_minor": pl.when(pl.col("n") % 5 == 0).then(pl.col("n") % 20_011),
        "currency": pl.lit("GBP"),
        "updated_at": at,
    }
    return place.select(_filled(filled, CSV_FILES[CSV]))


def _filled(filled: dict[str, pl.Expr], contract: object) -> list[pl.Expr]:
    return [
        filled.get(column.name, pl.lit(None)).cast(column.dtype).alias(column.name)
        for column in contract  # type: ignore[attr-defined]
    ]


def bare_parquet(frame: pl.DataFrame, folder: Path) -> None:
    """The floor of Parquet."""
    frame.write_parquet(folder / "bare.parquet", compression="snappy")
    file_sha256(folder / "bare.parquet")


def export_parquet(frame: pl.DataFrame, folder: Path) -> None:
    """Rows to a checked, hashed and described file."""
    write_partition(DATASET, "bench", DAY, frame, folder)


def publish_parquet(frame: pl.DataFrame | Iterator[pl.DataFrame], folder: Path) -> None:
    """The same, stored, verified and copied for readers."""
    with tempfile.TemporaryDirectory(dir=DATA) as store:
        content = write_partition(DATASET, "bench", DAY, frame, folder)
        place = Place(DATASET, DAY, DATASET)
        publish(LocalStore(store), place, day_of(DAY, ZoneInfo("UTC")), "UTC", None, content)


def bare_csv(frame: pl.DataFrame, folder: Path) -> None:
    """The floor of CSV."""
    frame.write_csv(folder / "bare.csv")


def export_csv(frame: pl.DataFrame, folder: Path) -> None:
    """Rows to a file that spreadsheets open safely."""
    write_csv(folder / "file.csv", frame, CSV_FILES[CSV])


CASES: dict[str, Callable[[pl.DataFrame, Path], None]] = {
    "bare parquet": bare_parquet,
    "export parquet": export_parquet,
    "publish parquet": publish_parquet,
    "bare csv": bare_csv,
    "export csv": export_csv,
}


def measured(case: str, rows: int) -> Figures:
    """Wall and CPU seconds of a case, without making the rows."""
    DATA.mkdir(parents=True, exist_ok=True)
    frame = customers(rows) if case.endswith("csv") else members(0, rows, rows)
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        return timed(lambda: CASES[case](frame, Path(folder)))


def make_lake(folder: str, rows: int) -> Figures:
    """A partition of the lake, made in a process of its own."""
    with Lake(Path(folder)).writer(DATASET) as writer:
        sizes = range(0, rows, _PIECE)
        writer.put_parts(DAY, (members(start, min(_PIECE, rows - start), rows) for start in sizes))
    return {}


def export_lake(folder: str) -> Figures:
    """The whole way of a partition, from the lake to the copy for readers."""
    with tempfile.TemporaryDirectory(dir=DATA) as work:
        return timed(lambda: publish_parquet(lake_pieces(Lake(Path(folder)), DATASET, DAY), Path(work)))


def peak(rows: int) -> Figures:
    """Figures of exporting a partition of the lake."""
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        in_child(__file__, ["--make", folder, "--rows", str(rows)])
        return in_child(__file__, ["--export", folder])


def _verdict(what: str, ratio: float, limit: float) -> bool:
    print(f"{what}: {ratio:.2f} (limit {limit}): {'reached' if ratio <= limit else 'missed'}")
    return ratio <= limit


def main() -> int:
    """Print the figures; exit 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    for hidden in ("--case", "--make", "--export"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    child = (options.case and measured(options.case, options.rows)) or (options.export and export_lake(options.export))
    if options.case or options.make or options.export:
        print(json.dumps(make_lake(options.make, options.rows) if options.make else child))
        return 0
    cases = {
        case: lambda case=case: in_child(__file__, ["--case", case, "--rows", str(options.rows)]) for case in CASES
    }
    found = interleaved(cases, options.rounds)
    for case, row in found.items():
        print(f"{case:16} {row['wall']:7.2f} s wall {row['cpu']:7.2f} s CPU {row['mb']:6.0f} MB")
    cpu = {case: row["cpu"] for case, row in found.items()}
    good = [
        _verdict("Parquet export / bare write and sha256", cpu["export parquet"] / cpu["bare parquet"], PARQUET_LIMIT)
    ]
    print(f"  published, verified and copied as well: {cpu['publish parquet'] / cpu['bare parquet']:.2f}")
    good.append(_verdict("CSV export / bare write", cpu["export csv"] / cpu["bare csv"], CSV_LIMIT))
    small, large = peak(options.rows), peak(4 * options.rows)
    print(f"lake to copy: {small['mb']:.0f} MB with {options.rows} rows, {large['mb']:.0f} MB with four times as many")
    good.append(_verdict("memory, four times the rows", large["mb"] / small["mb"], MEMORY_LIMIT))
    print(load())
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
