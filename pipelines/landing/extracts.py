"""What later stages ask of every landed batch again and again, computed once per batch and kept beside the state.

An extract is a small frame made from one file alone and named by that file, so it never has to be renewed, and asking
for it costs what arrived since the last time. Deleting the folder costs time only. What the extracts mean is up to
whoever asks.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import polars as pl

from pipelines.config import Tenant
from pipelines.landing import store
from pipelines.landing.layout import scan_split, split_file, split_schema
from pipelines.storage.durable import replacing, write_bytes
from schemas.entities import ENTITIES

Make = Callable[[pl.LazyFrame], pl.LazyFrame]
#: A repeated id's versions: where they lie, and a number that stands for the version.
MOVED = pl.Schema({"id_key": pl.Int64(), "date": pl.Date(), "weight": pl.Int64()})
WEIGHT = (pl.col("id_key") ^ pl.col("order_at").to_physical()).alias("weight")
_WORKERS = 2


def kept(folder: Path, sources: Mapping[str, pl.LazyFrame], make: Make, schema: pl.Schema) -> pl.LazyFrame:
    """``make`` of every source, the ones seen before from their files; files of other sources are removed.

    Args:
        folder: where the extracts are; one folder for each meaning.
        sources: by a name that changes with the content.
        make: what to keep of a source.
        schema: columns of a source.
    """
    paths = {name: folder / f"{name}.parquet" for name in sources}

    def one(name: str) -> None:
        with replacing(paths[name], sync=False) as temporary:
            make(sources[name]).collect(engine="streaming").write_parquet(temporary)

    shape = make(pl.LazyFrame(schema=schema)).collect_schema()
    if not paths:
        return pl.LazyFrame(schema=shape)
    # Read before the lock is given back: afterwards another process may find that a source was written anew.
    with _held(folder, fcntl.LOCK_SH):
        missing = [name for name, path in paths.items() if not path.is_file()]
        with ThreadPoolExecutor(_WORKERS) as pool:
            list(pool.map(one, missing))
        found = pl.scan_parquet(list(paths.values()), schema=shape, hive_partitioning=False).collect()
    _forget_others(folder, {path.name for path in paths.values()})
    return found.lazy()


def _forget_others(folder: Path, wanted: Collection[str]) -> None:
    """Remove the extracts whose sources are gone, unless somebody is reading just now: then the next one does."""
    unwanted = [path for path in folder.glob("[0-9a-f]*.parquet") if path.name not in wanted]
    if not unwanted:
        return
    with contextlib.suppress(BlockingIOError), _held(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
        for path in unwanted:
            path.unlink(missing_ok=True)


def drop(tenant: Tenant) -> None:
    """Remove every extract of a tenant, after whoever is reading one: they name people who may have been erased."""
    for folder in sorted((tenant.state / "extracts").glob("*/*/")):
        with _held(folder, fcntl.LOCK_EX):
            for path in folder.glob("*.parquet"):
                path.unlink()
    for path in sorted((tenant.state / "extracts").glob("*/moved*")):
        path.unlink(missing_ok=True)


@contextmanager
def _held(folder: Path, how: int) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, how)
        yield


def of_batches(tenant: Tenant, entity: str, name: str, make: Make) -> pl.LazyFrame:
    """``make`` of every landed batch of an entity, in no order between batches; ``name`` says what is made."""
    sources = {stem: _batch(path, entity) for stem, path in batch_files(tenant, entity).items()}
    return kept(tenant.state / "extracts" / entity / name, sources, make, split_schema(ENTITIES[entity]))


def of_partitions(tenant: Tenant, table: str, name: str, make: Make) -> pl.LazyFrame:
    """``make`` of every partition of a lake table; a partition that was written anew is read again."""
    lake = tenant.lake
    rows = lake.rows(table)
    filled = {day: path for day, path in lake.files(table).items() if day is not None and rows.get(day)}
    files = {f"{day}-{PurePosixPath(path).stem}": day for day, path in filled.items()}
    sources = {stem: lake.scan(table, [day]) for stem, day in files.items()}
    return kept(tenant.state / "extracts" / table / name, sources, make, lake.scan(table, []).collect_schema())


def batch_files(tenant: Tenant, entity: str) -> dict[str, Path]:
    """Split files with rows, by a name that changes when the file is written anew, as erasure does."""
    found = {}
    for receipt in store.committed(tenant, entity):
        if receipt.accepted + receipt.superseded:
            path = split_file(tenant, entity, receipt.batch_id)
            stat = path.stat()
            found[f"{receipt.batch_id[:32]}-{stat.st_size:x}-{stat.st_mtime_ns:x}"] = path
    return found


def _batch(path: Path, entity: str) -> pl.LazyFrame:
    return scan_split(path, ENTITIES[entity])


def repeated_ids(tenant: Tenant, entity: str) -> pl.DataFrame:
    """``id_key`` of every id with more than one version, once."""
    frame = of_batches(tenant, entity, "repeated", lambda rows: rows.filter("repeat").select("id_key").unique())
    return frame.unique().collect()


def moved_versions(tenant: Tenant, entity: str) -> pl.DataFrame:
    """Every version of the ids that have more than one: columns ``MOVED``.

    History is only looked through for ids that were repeated since the last time.
    """
    files = batch_files(tenant, entity)
    ids = repeated_ids(tenant, entity)
    covered, before = _read_moved(tenant, entity)
    if not set(covered) <= set(files):
        covered, before = [], pl.DataFrame(schema=MOVED)
    if set(covered) == set(files):
        return before
    fresh = [files[name] for name in files if name not in set(covered)]
    added = ids.join(before, on="id_key", how="anti")
    parts = [before, _versions(fresh, entity, ids), _versions([files[name] for name in covered], entity, added)]
    frame = pl.concat(parts)
    _write_moved(tenant, entity, sorted(files), frame)
    return frame


def _versions(paths: Sequence[Path], entity: str, ids: pl.DataFrame) -> pl.DataFrame:
    if not paths or not ids.height:
        return pl.DataFrame(schema=MOVED)
    named = scan_split(list(paths), ENTITIES[entity]).select("id_key", "date", WEIGHT)
    return named.join(ids.lazy(), on="id_key", how="semi").select(MOVED.names()).collect(engine="streaming")


def _read_moved(tenant: Tenant, entity: str) -> tuple[list[str], pl.DataFrame]:
    index = tenant.state / "extracts" / entity / "moved.json"
    if not index.is_file():
        return [], pl.DataFrame(schema=MOVED)
    record = json.loads(index.read_text())
    try:
        return record["covered"], pl.read_parquet(index.with_name(record["file"]))
    except FileNotFoundError:
        # Another process has just put a newer one in its place.
        return [], pl.DataFrame(schema=MOVED)


def _write_moved(tenant: Tenant, entity: str, covered: Sequence[str], frame: pl.DataFrame) -> None:
    index = tenant.state / "extracts" / entity / "moved.json"
    old = index.with_name(json.loads(index.read_text())["file"]) if index.is_file() else None
    # The index names its file, so that two processes never read one's list with the other's rows.
    path = index.with_name(f"moved-{store.fingerprint(tenant, entity)}.parquet")
    with replacing(path, sync=False) as temporary:
        frame.write_parquet(temporary)
    write_bytes(index, json.dumps({"file": path.name, "covered": list(covered)}).encode(), sync=False)
    if old is not None and old != path:
        old.unlink(missing_ok=True)
