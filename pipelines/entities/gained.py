"""Days that have only gained rows: what was published of them, with the new batches' rows put in between.

A published file is known by its content, and beside the lake it is kept which batches each was made from. While those
are all there still, and no id with several versions has a version more, the day is that file and the rows of the other
batches. Deleting what is kept costs time only. All other days are read from landing, in ``dated``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import polars as pl

from pipelines.config import Tenant
from pipelines.entities.days import MOST_ROWS
from pipelines.landing import store
from pipelines.landing.extracts import batch_files, moved_versions
from pipelines.landing.layout import scan_split
from pipelines.storage.durable import write_bytes
from pipelines.storage.lake import ROW_GROUP
from schemas.entities import Entity

#: Changes when other rows are published of the same batches.
MEANING = "1"
#: A day that gains more than this share of its rows is read from landing, which then costs no more.
_MOST_GAINED = 0.5


@dataclass(frozen=True)
class Inputs:
    """What a day of an entity is made from.

    Attributes:
        batches: names of the split files with rows on the day, which change with their content, sorted.
        versions: how many versions there are of the ids that have several, one of them on the day.
    """

    batches: tuple[str, ...]
    versions: int


def day_inputs(tenant: Tenant, entity: Entity, days: Sequence[date]) -> dict[date, Inputs]:
    """Inputs of each day as they are now."""
    names = {path.stem: name for name, path in batch_files(tenant, entity.name).items()}
    found: dict[date, list[str]] = {day: [] for day in days}
    for receipt in store.committed(tenant, entity.name):
        if receipt.batch_id in names:
            for day in found.keys() & set(receipt.dates):
                found[day].append(names[receipt.batch_id])
    moved = moved_versions(tenant, entity.name)
    sizes = moved.group_by("id_key").agg(pl.len().cast(pl.Int64).alias("versions"))
    places = moved.select("date", "id_key").unique().join(sizes, on="id_key").group_by("date")
    versions = dict(places.agg(pl.col("versions").sum()).iter_rows())
    return {day: Inputs(tuple(sorted(batches)), versions.get(day, 0)) for day, batches in found.items()}


def gained(tenant: Tenant, entity: Entity, inputs: Mapping[date, Inputs]) -> dict[date, Iterator[pl.DataFrame]]:
    """The rows of each day that can be had this way, as ``dated.partitions`` gives them.

    Args:
        tenant: whose.
        entity: one that is published as it landed, without columns from elsewhere.
        inputs: ``day_inputs`` of the days asked for.
    """
    paths = batch_files(tenant, entity.name)
    files, rows = tenant.lake.files(entity.name), tenant.lake.rows(entity.name)
    found = {}
    for day, now in inputs.items():
        before = _remembered(tenant, entity, day, files.get(day))
        if (
            before is None
            or before.versions != now.versions
            or not set(before.batches) <= set(now.batches) <= set(paths)
        ):
            continue
        new = _new_rows([paths[name] for name in now.batches if name not in set(before.batches)], entity, day)
        count = new.select(pl.len()).collect(engine="streaming").item()
        if rows[day] and count <= min(_MOST_GAINED * rows[day], MOST_ROWS):
            found[day] = _between(tenant, entity, day, rows[day], new)
    return found


def remember(tenant: Tenant, entity: Entity, inputs: Mapping[date, Inputs]) -> None:
    """Keep what the published files of the days were made from; ``inputs`` must have been the same all the while."""
    files = tenant.lake.files(entity.name)
    for day, made in inputs.items():
        if made.batches:
            record = {"meaning": _meaning(tenant), "file": files[day], **asdict(made)}
            write_bytes(_record(tenant, entity, day), json.dumps(record).encode(), sync=False)


def _remembered(tenant: Tenant, entity: Entity, day: date, file: str | None) -> Inputs | None:
    path = _record(tenant, entity, day)
    record = json.loads(path.read_text()) if path.is_file() else {}
    if file is None or (record.get("meaning"), record.get("file")) != (_meaning(tenant), file):
        return None
    return Inputs(tuple(record["batches"]), record["versions"])


def _meaning(tenant: Tenant) -> str:
    return f"{MEANING} {tenant.zone.key}"


def _record(tenant: Tenant, entity: Entity, day: date) -> Path:
    return tenant.state / "made_of" / entity.name / f"{day}.json"


def _new_rows(paths: Sequence[Path], entity: Entity, day: date) -> pl.LazyFrame:
    if not paths:
        return pl.LazyFrame(schema=entity.schema())
    here = scan_split(list(paths), entity).filter((pl.col("date") == day) & (pl.col("op") != "delete"))
    return here.select(entity.schema().names())


def _between(tenant: Tenant, entity: Entity, day: date, rows: int, new: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """Published rows and new ones, a row group of the published ones at a time."""
    published = tenant.lake.scan(entity.name, [day]).select("date", *entity.schema())
    added = new.select(pl.lit(day).alias("date"), *entity.schema()).sort("external_id").collect()
    for start in range(0, rows, ROW_GROUP):
        group = published.slice(start, ROW_GROUP).collect()
        last = start + ROW_GROUP >= rows
        count = added.height if last else added["external_id"].search_sorted(group["external_id"][-1], side="right")
        yield group.merge_sorted(added.head(count), key="external_id") if count else group
        added = added.slice(count)
