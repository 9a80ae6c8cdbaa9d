"""What a tenant holds that must not depend on arrival: a hash of every partition and of every exported data file."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from pipelines import flow
from pipelines.config import Tenant
from pipelines.exports.revision import newest_revisions
from pipelines.exports.target import export_store
from pipelines.storage.hashing import file_sha256, logical_sha256
from pipelines.storage.objects import object_sha256
from schemas.exports import LEDGERS as LEDGER_DATASETS
from schemas.registry import LAKE

#: What we knew when, which depends on arrival by its nature.
LEDGERS = (
    "batches",
    "batch_partitions",
    "cohort_definitions",
    "event_log",
    "export_slo",
    "quarantine",
    "unresolved_references",
)
TABLES = tuple(name for name in LAKE if name not in LEDGERS)
#: Runs after which nothing may be stale any more.
ROUNDS = 3

Digest = dict[str, str]


def settled(tenant: Tenant) -> Tenant:
    """Run until nothing is stale; a run that always finds work again is an error."""
    for _ in range(ROUNDS):
        if not any(outcome.commits for outcome in flow.run(tenant)):
            return tenant
    raise AssertionError("the flow keeps finding stale days")


def digest(tenant: Tenant) -> Digest:
    """Hash by ``lake/<table>/<day>`` and ``<bucket>/<path>``."""
    return {**lake_digest(tenant), **export_digest(tenant)}


def lake_digest(tenant: Tenant) -> Digest:
    """Logical hash of the sorted rows of every published partition."""
    found: Digest = {}
    for table in TABLES:
        for day in tenant.lake.files(table):
            rows = tenant.lake.scan(table, None if day is None else [day]).collect()
            ordered = rows.sort(LAKE[table].primary_key, nulls_last=True)
            found[f"lake/{table}/{day}"] = logical_sha256(ordered)
    return found


def export_digest(tenant: Tenant) -> Digest:
    """sha256 of every data file that a reader globs, and of those that the newest revisions name."""
    found: Digest = {}
    for kind in ("s3", "gcs"):
        store = export_store(tenant, kind)
        assert store is not None
        for key in store.list("v1/"):
            if key.split("/")[1] not in ("_revisions", *LEDGER_DATASETS) and Path(key).suffix in (".parquet", ".csv"):
                found[f"{kind}/{key}"] = object_sha256(store, key)
        for manifest in newest_revisions(store):
            if manifest.dataset in LEDGER_DATASETS:
                continue
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
