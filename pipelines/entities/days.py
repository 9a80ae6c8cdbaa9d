"""The rows of one day, in pieces that fit memory: whole where the day is small, else in ranges of ``external_id``.

Landing is ordered by the hash of an id and a published day by the id itself, so the rows of a large day wait once on
disk, cut into ranges. Which rows those are, and what becomes of ids with several versions, is decided in ``dated``.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import lru_cache
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from pipelines.config import Tenant
from pipelines.landing import store
from pipelines.landing.layout import split_file
from pipelines.landing.spool import Spool
from pipelines.storage.lake import ROW_GROUP
from schemas.entities import Entity

#: Landed rows of a day that is taken whole, and of the pieces in which a larger one is read.
MOST_ROWS = 3 * ROW_GROUP
_SAMPLE = 65_536
_LEAST_KEY, _KEYS = -(1 << 63), 1 << 64
#: Keys -> ids with several versions (``id_key``), and the newest row of each that falls on the day.
Fold = Callable[[pl.Expr | None], tuple[pl.DataFrame, pl.DataFrame]]


def rows_of_day(tenant: Tenant, entity: Entity, day: date, landed: int, fold: Fold) -> Iterator[pl.DataFrame]:
    """The rows that are published on a day, in frames of growing ``external_id``; no order within.

    Args:
        tenant: whose landing is read.
        entity: a partitioned entity.
        day: tenant day with landed rows.
        landed: how many rows have landed on it.
        fold: what is known about ids with several versions.

    Returns:
        Frames with ``date`` and the entity's stored columns.
    """
    filled = _filled_columns(tenant, entity, day) if landed > ROW_GROUP // 8 else frozenset(entity.schema())
    if landed <= MOST_ROWS:
        yield _rows(tenant, entity, day, filled, None, fold)
        return
    starts = _starts(tenant, entity, day, landed)
    schema = pl.Schema({"date": pl.Date(), **entity.schema()})
    with _work_folder(tenant, entity) as folder:
        spool = Spool(folder, schema, lambda rows: starts.search_sorted(rows["external_id"], side="right"))
        for keys in _key_ranges(-(-landed // MOST_ROWS)):
            spool.add(_rows(tenant, entity, day, filled, keys, fold))
        yield from spool.ranges()


def _rows(
    tenant: Tenant, entity: Entity, day: date, filled: frozenset[str], keys: pl.Expr | None, fold: Fold
) -> pl.DataFrame:
    """Rows of one range of ``id_key``; columns in which no row says anything are not read, and take no room."""
    repeated, won = fold(keys)
    schema = entity.schema()
    landed = store.scan(tenant, entity.name, [day]).filter(pl.col("op") != "delete")
    alone = (landed if keys is None else landed.filter(keys)).join(repeated.lazy(), on="id_key", how="anti")
    found = alone.select(name for name in schema if name in filled).collect(engine="streaming")
    if won.height:
        said = {name for name in schema if name in filled or won[name].null_count() < won.height}
        wider = found.with_columns(pl.lit(None, schema[name]).alias(name) for name in said - filled)
        found = pl.concat([frame.select(name for name in schema if name in said) for frame in (wider, won)])
    missing = [pl.lit(None, schema[name]).alias(name) for name in schema if name not in found.columns]
    return found.with_columns(pl.lit(day).alias("date"), *missing).select("date", *schema)


def _filled_columns(tenant: Tenant, entity: Entity, day: date) -> frozenset[str]:
    """Stored columns in which any batch of the day says anything, and always the id."""
    files = [
        split_file(tenant, entity.name, receipt.batch_id)
        for receipt in store.committed(tenant, entity.name)
        if day in receipt.dates and receipt.accepted + receipt.superseded
    ]
    said = {name for path in files for name in _filled_in(path, path.stat().st_mtime_ns)}
    return frozenset({"external_id", *(name for name in entity.schema() if name in said)})


@lru_cache(maxsize=4096)
def _filled_in(path: Path, _written: int) -> frozenset[str]:
    """Columns of a file that are not null throughout."""
    footer = pq.read_metadata(path)
    groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
    chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
    return frozenset(chunk.path_in_schema for chunk in chunks if not _is_null(chunk))


def _is_null(chunk: pq.ColumnChunkMetaData) -> bool:
    known = chunk.statistics
    return known is not None and known.has_null_count and known.null_count == chunk.num_values


def _starts(tenant: Tenant, entity: Entity, day: date, landed: int) -> pl.Series:
    """Ids at which a range begins, so that each has about a row group, from a sample: ids of the lowest hashes."""
    share = min(1.0, _SAMPLE / landed)
    last = _LEAST_KEY + int(_KEYS * share) - 1
    scan = store.scan(tenant, entity.name, [day]).filter(pl.col("id_key") <= last)
    ids = scan.select("external_id").collect(engine="streaming")["external_id"].sort()
    ranges = -(-landed // ROW_GROUP)
    return ids.gather(sorted({len(ids) * i // ranges for i in range(1, ranges)})) if len(ids) else ids


def _key_ranges(count: int) -> Iterator[pl.Expr]:
    edges = [_LEAST_KEY + _KEYS * i // count for i in range(count)]
    for first, after in zip(edges, [*edges[1:], -_LEAST_KEY], strict=True):
        yield pl.col("id_key").is_between(pl.lit(first, pl.Int64), pl.lit(after - 1, pl.Int64))


@contextmanager
def _work_folder(tenant: Tenant, entity: Entity) -> Iterator[Path]:
    """An empty folder for pieces, one large day of an entity at a time; what a killed run left is removed."""
    work = tenant.state / "publishing" / entity.name
    work.mkdir(parents=True, exist_ok=True)
    with (work / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pieces = work / "pieces"
        shutil.rmtree(pieces, ignore_errors=True)
        try:
            yield pieces
        finally:
            shutil.rmtree(pieces, ignore_errors=True)
