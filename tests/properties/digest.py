"""What a tenant holds that must not depend on arrival: a hash of every partition and of every exported data file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path

import polars as pl

from pipelines import flow
from pipelines.config import Tenant
from pipelines.exports.revision import newest_revisions
from pipelines.exports.target import export_store
from pipelines.storage.hashing import file_sha256, logical_sha256
from pipelines.storage.objects import object_sha256
from schemas.registry import LAKE

#: What we knew when, which depends on arrival by its nature.
LEDGERS = ("batches", "batch_partitions", "event_log", "export_slo", "quarantine", "unresolved_references")
TABLES = tuple(name for name in LAKE if name not in LEDGERS)
#: Stages that fill the lake's tables; what leaves the lake follows from them.
STAGES = ("entities", "facts", "signals", "cohorts")
#: Runs after which nothing may be stale any more.
ROUNDS = 3

Digest = dict[str, str]


def settled(tenant: Tenant, select: Sequence[str] = ()) -> Tenant:
    """Run until nothing is stale; a run that always finds work again is an error."""
    for _ in range(ROUNDS):
        if not any(outcome.commits for outcome in flow.run(tenant, select=select)):
            return tenant
    raise AssertionError("the flow keeps finding stale days")


def digest(tenant: Tenant) -> Digest:
    """Hash by ``lake/<table>/<day>`` and ``<bucket>/<path>``."""
    return {**lake_digest(tenant), **export_digest(tenant)}


def lake_digest(tenant: Tenant) -> Digest:
    """Logical hash of the sorted rows of every published partition."""
    found: Digest = {}
    for table in TABLES:
        for day, name in tenant.lake.files(table).items():
            file = tenant.lake.root / table / name
            # A file is named by its bytes, so that its rows need to be read once in all tenants.
            assert file_sha256(file).startswith(file.stem), name
            found[f"lake/{table}/{day}"] = _rows_sha256(_Part(table, day, name, tenant))
    return found


@dataclass(frozen=True)
class _Part:
    """A partition of a table; equal to one with the same file in another tenant."""

    table: str
    day: date | None
    name: str
    tenant: Tenant = field(compare=False)


@cache
def _rows_sha256(part: _Part) -> str:
    rows = part.tenant.lake.scan(part.table, None if part.day is None else [part.day]).collect()
    return logical_sha256(rows.sort(LAKE[part.table].primary_key, nulls_last=True))


def export_digest(tenant: Tenant) -> Digest:
    """sha256 of every data file that a reader globs, and of those that the newest revisions name."""
    found: Digest = {}
    for kind in ("s3", "gcs"):
        store = export_store(tenant, kind)
        assert store is not None
        for key in store.list("v1/"):
            if not key.startswith("v1/_revisions/") and Path(key).suffix in (".parquet", ".csv"):
                found[f"{kind}/{key}"] = object_sha256(store, key)
        for manifest in newest_revisions(store):
            for entry in manifest.files:
                assert object_sha256(store, entry.path) == entry.sha256, entry.path
                found[f"{kind}/revision/{manifest.dataset}/{manifest.date}/{entry.name}"] = entry.sha256
    return found


def manifest_problems(tenant: Tenant) -> list[str]:
    """Objects that a manifest of any revision names and that are not there with that sha256."""
    problems = []
    for kind in ("s3", "gcs"):
        root = tenant.home / "buckets" / kind
        for path in root.rglob("_revisions/**/_manifest.json"):
            base = Path(str(path).split("/v1/_revisions/")[0])
            for entry in pl.read_json(path)["files"].to_list()[0]:
                named = base / entry["path"]
                if not named.is_file() or file_sha256(named) != entry["sha256"]:
                    problems.append(str(named.relative_to(root)))
    return problems


def differences(actual: Tenant, expected: Tenant, limit: int = 6) -> str:
    """Rows that only one of two tenants has, for a person to read; empty when the digests are equal."""
    left, right = digest(actual), digest(expected)
    keys = sorted(key for key in {*left, *right} if left.get(key) != right.get(key))
    return "\n".join([*keys, *(_rows(actual, expected, key) for key in keys[:limit] if key.startswith("lake/"))])


def _rows(actual: Tenant, expected: Tenant, key: str) -> str:
    _, table, day = key.split("/")
    sides = [tenant.lake.read(table) for tenant in (actual, expected)]
    if LAKE[table].partitioned:
        sides = [side.filter(pl.col("date").cast(pl.String) == day) for side in sides]
    names = LAKE[table].names
    mine, other = (one.join(two, on=names, how="anti", nulls_equal=True) for one, two in (sides, sides[::-1]))
    return f"--- {key}\nonly here: {mine.to_dicts()}\nonly expected: {other.to_dicts()}"
