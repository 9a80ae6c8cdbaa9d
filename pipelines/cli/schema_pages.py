"""Pages of the contracts below ``docs``, with example rows from a small simulated retailer."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from pipelines import flow
from pipelines.cli.schema_examples import INVENTED
from pipelines.config import Tenant, Workspace
from pipelines.exports.csv_format import timestamp_text
from pipelines.landing.ingest import ingest_file
from pipelines.simulator import SimulationConfig, simulate, write
from schemas.contract import Column, Contract
from schemas.dictionary import Rows, json_schema, page
from schemas.exports import CSV_FILES, DATASETS

CONTRACTS = {**DATASETS, **CSV_FILES}
EXAMPLES = 3
FIRST, LAST = date(2025, 3, 1), date(2025, 3, 3)
TENANT = """id: example
timezone: Europe/London
currency: GBP
exports:
  identity_links: true
  s3: {bucket: exports}
  gcs: {bucket: campaigns}
"""


def write_pages(docs: Path, examples: Mapping[str, Rows]) -> list[Path]:
    """Write the data dictionary and the JSON Schemas.

    Args:
        docs: the folder of the documentation.
        examples: rows by dataset or file.
    """
    (docs / "schemas").mkdir(parents=True, exist_ok=True)
    written = [docs / "data-dictionary.md"]
    written[0].write_text(page(examples), encoding="utf-8")
    for name, contract in CONTRACTS.items():
        path = docs / "schemas" / f"{name}.json"
        text = json.dumps(json_schema(contract, examples[name]), indent=2, ensure_ascii=False)
        path.write_text(f"{text}\n", encoding="utf-8")
        written.append(path)
    return written


def known_examples(docs: Path) -> dict[str, Rows]:
    """Rows that the JSON Schemas hold already, by dataset or file; none where there is no schema yet."""
    found: dict[str, Rows] = {}
    for name in CONTRACTS:
        path = docs / "schemas" / f"{name}.json"
        found[name] = json.loads(path.read_text(encoding="utf-8"))["examples"] if path.exists() else []
    return found


def made_examples() -> dict[str, Rows]:
    """Rows of every dataset and file from a small simulated retailer, invented where it has none; always the same."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "tenants" / "example").mkdir(parents=True)
        (root / "tenants" / "example" / "tenant.yaml").write_text(TENANT)
        tenant = Workspace(root / "home", root / "tenants").tenant("example")
        config = SimulationConfig(tenant.zone, FIRST, LAST, visitors=250, history_days=0)
        for entity, files in write(simulate(config), root / "sample").items():
            for file in files:
                ingest_file(tenant, entity, file, received_at=datetime(2025, 3, 5, tzinfo=UTC))
        flow.run(tenant)
        return {name: _rows(tenant, contract) or INVENTED[name] for name, contract in CONTRACTS.items()}


def _rows(tenant: Tenant, contract: Contract) -> Rows:
    """Rows of a dataset or file as JSON has them."""
    csv = contract.name in CSV_FILES
    root = (tenant.bucket_url("gcs" if csv else "s3") or "").removeprefix("file://") + "/v1"
    if csv:
        data = pl.read_csv(f"{root}/date={LAST}/{contract.name}.csv", infer_schema=False)
        values = [_of_text(column) for column in contract]
    else:
        found = pl.scan_parquet(f"{root}/{contract.name}/date=*/part-*.parquet", hive_partitioning=True)
        data = found.sort(contract.primary_key).collect()
        values = [_of_value(column) for column in contract]
    return _fullest(data.select(values).rows(named=True))


def _of_text(column: Column) -> pl.Expr:
    types: dict[str, type[pl.DataType]] = {"int64": pl.Int64, "quantity": pl.Float64, "ratio": pl.Float64}
    value = pl.col(column.name)
    return value == "true" if column.kind == "boolean" else value.cast(types.get(column.kind, pl.String))


def _of_value(column: Column) -> pl.Expr:
    value = pl.col(column.name)
    if column.kind == "timestamp":
        return timestamp_text(value)
    return value.cast(pl.String) if column.kind == "date" else value


def _fullest(rows: Sequence[Mapping[str, Any]]) -> Rows:
    """A few rows, each the one that shows most columns that those before it do not."""
    chosen: list[Mapping[str, Any]] = []
    shown: set[str] = set()
    for _ in range(min(EXAMPLES, len(rows))):
        best = max(rows, key=lambda row: len({name for name, value in row.items() if value is not None} - shown))
        if best in chosen:
            break
        chosen.append(best)
        shown |= {name for name, value in best.items() if value is not None}
    return chosen
