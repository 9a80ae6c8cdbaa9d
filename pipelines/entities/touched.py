"""Reference data of which few ids arrived: these are folded again, and all others are as they were published.

Published files are known by their content, and beside the state it is kept which batches they were made from. While
those are all there still, an id that no newer batch names has the versions that it had. Deleting what is kept costs
time only. Whole folds are in ``steps``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.config import Tenant
from pipelines.entities.dated import entity_versions
from pipelines.entities.fold import newest, states
from pipelines.entities.history import valid_time
from pipelines.landing.extracts import batch_files, repeated_ids
from pipelines.landing.layout import scan_split, split_schema
from pipelines.storage.durable import write_bytes
from pipelines.storage.hashing import identifier, subject_key
from pipelines.storage.lake import Commit
from schemas.entities import Entity

#: Changes when other rows are published of the same batches.
MEANING = "1"
#: When more than this share of the ids arrived, folding all costs no more.
_MOST_TOUCHED = 0.2


@dataclass(frozen=True)
class Tables:
    """What is published of an entity without days: the columns of its contract, and of its history's."""

    latest: pl.DataFrame
    past: pl.DataFrame


def touched(tenant: Tenant, entity: Entity, batches: Sequence[str]) -> Tables | None:
    """The tables of an entity from what was published and the newer batches; None where all has to be folded.

    Args:
        tenant: whose.
        entity: one whose versions all land by themselves, not inside other records.
        batches: names of ``batch_files`` as they are now.
    """
    before = _remembered(tenant, entity)
    if before is None or not set(before) <= set(batches):
        return None
    paths = batch_files(tenant, entity.name)
    fresh = [paths[name] for name in batches if name not in set(before)]
    published = tenant.lake.scan(entity.name), tenant.lake.scan(f"{entity.name}_history")
    ids = _rows(fresh, entity).select("id_key").unique().collect(engine="streaming")
    if ids.height > _MOST_TOUCHED * sum(tenant.lake.rows(entity.name).values()):
        return None
    known = ids.join(repeated_ids(tenant, entity.name), on="id_key", how="semi")
    versions = _versions(fresh, entity, ids)
    if known.height:
        # Only an id that stands in several batches has a version elsewhere.
        versions = pl.concat([versions, _versions([paths[name] for name in before], entity, known)])
    folded = states(versions, entity)
    past = valid_time(folded, entity)
    latest = newest(folded).select(entity.contract.names)
    again = versions.select("external_id").unique().lazy()
    keys = entity.contract.primary_key, entity.history_contract.primary_key
    merged = [
        # Published rows are in order, and no id is among both, so that nothing has to be sorted but the few new rows.
        table.join(again, on="external_id", how="anti", maintain_order="left")
        .collect()
        .merge_sorted(new.sort(key, nulls_last=True), key="external_id")
        for table, new, key in zip(published, (latest, past), keys, strict=True)
    ]
    return Tables(*merged)


def untouched(
    tenant: Tenant, entity: Entity, batches: Sequence[str], inside: pl.DataFrame | None = None
) -> dict[str, Commit] | None:
    """The outcome of publishing the tables of an entity again, where they were made from these very batches; else None.

    Args:
        tenant: whose.
        entity: as for ``touched``.
        batches: as for ``touched``.
        inside: versions that other records carry; None where none do.
    """
    before = _remembered(tenant, entity)
    if before is None or sorted(before) != sorted(batches) or _inside(tenant, entity) != said(inside, entity):
        return None
    lake = tenant.lake
    return {
        table: Commit(table=table, version=lake.version(table) or 0, rows=lake.rows(table), changed=(), equal=(None,))
        for table in tables_of(entity.name)
    }


def tables_of(name: str) -> tuple[str, ...]:
    """The tables that are made from the versions of an entity without days."""
    merges = ("customer_merges",) if name == "customers" else ()
    return (name, f"{name}_history", *merges)


def remember(tenant: Tenant, entity: Entity, batches: Sequence[str], inside: str = "") -> None:
    """Keep what the published tables were made from; the batches must have been the same all the while.

    Args:
        tenant: whose.
        entity: as for ``touched``.
        batches: as for ``touched``.
        inside: ``said`` of the versions that other records carried.
    """
    if batches or inside:
        made_of = {"meaning": _meaning(entity), "files": _files(tenant, entity), "batches": list(batches)}
        write_bytes(_record(tenant, entity), json.dumps({**made_of, "inside": inside}).encode(), sync=False)


def said(inside: pl.DataFrame | None, entity: Entity) -> str:
    """A text that changes with the versions that other records carry, whatever their order; empty for no versions."""
    if inside is None or inside.is_empty():
        return ""
    # Other records fill few of the columns, and what nobody says weighs nothing.
    filled = [name for name in entity.schema() if inside[name].null_count() < inside.height]
    cells = [pl.format(f"{name}:{{}}", pl.col(name).to_physical().cast(pl.String)) for name in filled]
    whole = inside.select(pl.concat_str(cells, separator="\x1f", ignore_nulls=True).alias("version"))
    return f"{inside.height}:{whole.select(subject_key('version')).to_series().sum()}"


def _inside(tenant: Tenant, entity: Entity) -> str:
    return str(_read(tenant, entity).get("inside", ""))


def _read(tenant: Tenant, entity: Entity) -> dict[str, Any]:
    path = _record(tenant, entity)
    record: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return record


def _remembered(tenant: Tenant, entity: Entity) -> list[str] | None:
    record = _read(tenant, entity)
    if (record.get("meaning"), record.get("files")) != (_meaning(entity), _files(tenant, entity)):
        return None
    return list(record["batches"])


def _meaning(entity: Entity) -> str:
    """Changes with the columns, too: what was published before has none of the new ones."""
    return identifier(MEANING, *(f"{column.name} {column.kind}" for column in entity.stored))


def _files(tenant: Tenant, entity: Entity) -> list[str]:
    return [name for table in tables_of(entity.name) for name in tenant.lake.files(table).values()]


def _record(tenant: Tenant, entity: Entity) -> Path:
    return tenant.state / "made_of" / entity.name / "whole.json"


def _rows(paths: Sequence[Path], entity: Entity) -> pl.LazyFrame:
    return scan_split(list(paths), entity) if paths else pl.LazyFrame(schema=split_schema(entity))


def _versions(paths: Sequence[Path], entity: Entity, ids: pl.DataFrame) -> pl.DataFrame:
    """The versions of some ids, with what a fold needs of them."""
    named = _rows(paths, entity).join(ids.lazy(), on="id_key", how="semi")
    return named.select(list(entity_versions(entity).schema)).collect(engine="streaming")
