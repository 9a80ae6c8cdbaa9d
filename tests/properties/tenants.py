"""Tenants in folders of their own, and short ways to land records in them."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.config import Tenant
from pipelines.landing.ingest import ingest_bytes
from pipelines.landing.store import Receipt
from tests.conftest import make_workspace

RECEIVED_AT = datetime(2026, 1, 1, tzinfo=UTC)
#: Bytes of a made-up master key.
KEY = bytes(range(32))
ZONE = "Europe/London"
#: Windows short enough for every cohort to be entered and left within a few days.
SHORT = """
parameters:
  cart_abandoner: {ttl: 2d}
  high_value_cart_abandoner: {floor: 2000, partitions: 2}
  repeat_purchaser: {window: 2d}
  lapsed_shopper: {floor: 1d, multiple: 1}
  momentum: {history: 2}
"""

Record = Mapping[str, Any]
TABLE_FORMS = ("csv", "parquet")
FORMS = ("ndjson", "json", "ndjson.gz", *TABLE_FORMS)


@contextmanager
def tenants(count: int = 2, zone: str = ZONE, parameters: str = SHORT) -> Iterator[list[Tenant]]:
    """Some empty tenants, all called acme, each in a folder of its own that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="murmur-properties-") as folder:
        yield [make_tenant(Path(folder) / str(number), zone, parameters) for number in range(count)]


def make_tenant(root: Path, zone: str = ZONE, parameters: str = SHORT) -> Tenant:
    """An empty tenant below a folder."""
    workspace = make_workspace(root, zone)
    file = workspace.tenants / "acme" / "tenant.yaml"
    file.write_text(file.read_text() + parameters)
    tenant = workspace.tenant("acme")
    # Hashes of contacts are only equal between homes with the same key.
    tenant.vault.mkdir(parents=True)
    (tenant.vault / "key").write_bytes(KEY)
    return tenant


def land(tenant: Tenant, entity: str, records: Sequence[Record], form: str = "ndjson") -> list[Receipt]:
    """Land records as one batch; as two where the form is a table and not all records are upserts.

    An absent field and one that is cleared look alike in a table, so that patches are sent as NDJSON then.
    """
    table = form in TABLE_FORMS
    rows = [record for record in records if table and "op" not in record]
    rest = [record for record in records if not (table and "op" not in record)]
    parts = [(rows, form), (rest, "ndjson" if table else form)]
    return [land_bytes(tenant, entity, encode(part, name), f"rows.{name}") for part, name in parts if part]


def land_all(tenant: Tenant, records: Sequence[tuple[str, Record]], form: str = "ndjson") -> None:
    """Land records of several entities, a batch for each."""
    for entity in sorted({name for name, _ in records}):
        land(tenant, entity, [record for name, record in records if name == entity], form)


def land_bytes(tenant: Tenant, entity: str, data: bytes, name: str = "rows.ndjson") -> Receipt:
    """Land the bytes of one file."""
    return ingest_bytes(tenant, entity, data, name, received_at=RECEIVED_AT)


def encode(records: Sequence[Record], form: str) -> bytes:
    """Records in one of ``FORMS``; in a table, nested values are JSON and everything is text."""
    if form.endswith(".gz"):
        return gzip.compress(encode(records, form.removesuffix(".gz")), mtime=0)
    if form == "json":
        return json.dumps(list(records)).encode()
    if form in TABLE_FORMS:
        cells = [{k: v if isinstance(v, str) else json.dumps(v) for k, v in record.items()} for record in records]
        frame = pl.DataFrame(cells, schema=dict.fromkeys(sorted({k for cell in cells for k in cell}), pl.String))
        buffer = io.BytesIO()
        (frame.write_csv if form == "csv" else frame.write_parquet)(buffer)
        return buffer.getvalue()
    return "".join(json.dumps(record) + "\n" for record in records).encode()
