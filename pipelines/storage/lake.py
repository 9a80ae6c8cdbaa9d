"""The lake: Delta tables whose partitions are single, sorted, content-named Parquet files.

A partition is replaced whole, in one commit for all days of a run. Its file is named by the sha256 of its bytes, so
that writing what is there already changes nothing, and the list of active files says which partitions differ between
two versions. Commits are fenced: the version is pinned when a writer opens, before its inputs are read, and a commit
over a newer version fails instead of being repeated. What is in a row is decided by ``schemas``.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from deltalake.schema import Field, PrimitiveType
from deltalake.schema import Schema as DeltaSchema
from deltalake.transaction import AddAction, RemoveAction
from polars.io.plugins import register_io_source

from pipelines.errors import ConflictError, UsageError
from pipelines.storage.conform import ContractError, conform, conform_parts
from pipelines.storage.durable import fsync_file
from pipelines.storage.encode import ROW_GROUP, write
from pipelines.storage.hashing import file_sha256
from schemas.contract import Contract
from schemas.registry import LAKE

__all__ = ["ROW_GROUP", "Commit", "ContractError", "Lake", "Writer", "conform", "contract_of", "delta_schema"]

_WAITING_PARTS = 2
_WAITING_ROWS = 2 * ROW_GROUP
_DELTA_TYPES = {
    "string": "string",
    "json": "string",
    "int64": "long",
    "quantity": "long",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
    "ratio": "double",
}


@dataclass(frozen=True)
class Commit:
    """What one commit did.

    Attributes:
        table: table name.
        version: Delta version after it; unchanged when every partition was equal.
        rows: rows by day; the key is None for a table without days.
        changed: days whose file differs from before.
        equal: days that were computed again and found equal.
    """

    table: str
    version: int
    rows: dict[date | None, int]
    changed: tuple[date | None, ...]
    equal: tuple[date | None, ...]


@dataclass
class Writer:
    """Collects finished partitions of one table for one commit; made by ``Lake.writer``."""

    lake: Lake
    contract: Contract
    table: DeltaTable
    before: dict[date | None, str]
    _parts: dict[date | None, tuple[str, int, int]] = field(default_factory=dict)
    _empty: tuple[str, int] | None = None
    # One thread, so that parts are stored in the order in which they were put.
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "lake"))
    _waiting: deque[tuple[Future[None], int]] = field(default_factory=deque)
    commit: Commit | None = None

    def put(self, day: date | None, frame: pl.DataFrame) -> None:
        """Check, sort and write one partition.

        Args:
            day: the partition; None for a table without days.
            frame: the contract's columns in any order, ``date`` optional and overwritten with ``day``; texts may be
                ``Enum``, which is quicker (``encode.write``).

        Raises:
            ContractError: columns, types, required values, enums or the primary key are violated, here or in a part
                put before; at the latest when the writer is closed, before anything is published.
        """
        # Checking, encoding and flushing overlap with computing the next day; a short queue bounds what waits.
        while self._waiting and (len(self._waiting) >= _WAITING_PARTS or self._rows_with(frame) > _WAITING_ROWS):
            self._waiting.popleft()[0].result()
        self._waiting.append((self._pool.submit(self._store, day, frame), frame.height))

    def put_parts(self, day: date | None, frames: Iterable[pl.DataFrame]) -> None:
        """Check, sort and write one partition that may be too large for memory; equal rows make an equal file.

        Args:
            day: as for ``put``.
            frames: as for ``put``, each a range of the primary key after the one before; taken one by one.

        Raises:
            ContractError: as for ``put``, or the ranges overlap.
        """
        ahead = iter(frames)
        head = deque(itertools.islice(ahead, 2))
        if len(head) < 2:
            self.put(day, head.pop() if head else self.contract.empty())
            return
        # Nothing else is kept in memory meanwhile, nor the two once they are written.
        self._drain()
        first = (head.popleft() for _ in range(len(head)))
        self._store_parts(day, conform_parts(itertools.chain(first, ahead), self.contract, day))

    def _rows_with(self, part: pl.DataFrame) -> int:
        return part.height + sum(rows for _, rows in self._waiting)

    def _drain(self) -> None:
        while self._waiting:
            self._waiting.popleft()[0].result()

    def _store(self, day: date | None, frame: pl.DataFrame) -> None:
        part = conform(frame, self.contract, day)
        place = f"date={day.isoformat()}" if day else "data"
        stored = part.drop("date") if self.contract.partitioned else part
        if part.height or not self._empty:
            name, size = self._keep(place, lambda path: write(stored, path, self.contract.primary_key))
        else:
            name, size = self._link_empty(place)
        if not part.height:
            self._empty = (name, size)
        self._parts[day] = (name, part.height, size)

    def close(self) -> None:
        """Wait for what is being written.

        Raises:
            OSError: a partition could not be written.
        """
        with self._pool:
            self._drain()

    def _store_parts(self, day: date | None, parts: Iterator[pl.DataFrame]) -> None:
        partitioned = self.contract.partitioned
        schema = pl.Schema({c.name: c.dtype for c in self.contract if not (partitioned and c.name == "date")})
        rows = 0
        failed: list[BaseException] = []

        def source(columns: list[str] | None, *_: object) -> Iterator[pl.DataFrame]:
            nonlocal rows
            try:
                for part in parts:
                    rows += part.height
                    yield part.select(columns or schema.names())
            except BaseException as error:
                failed.append(error)
                raise

        def write(path: Path) -> None:
            frame = register_io_source(source, schema=schema)
            try:
                frame.sink_parquet(
                    path, maintain_order=True, compression="snappy", row_group_size=ROW_GROUP, statistics=True
                )
            except pl.exceptions.PolarsError:
                # The engine wraps what the source raises.
                if failed:
                    raise failed[0] from None
                raise

        name, size = self._keep(f"date={day.isoformat()}" if day else "data", write)
        self._parts[day] = (name, rows, size)

    def _keep(self, place: str, write: Callable[[Path], None]) -> tuple[str, int]:
        """Name and size of the file that ``write`` makes, put in place under the name of its content."""
        folder = self.lake.root / self.contract.name
        (folder / place).mkdir(parents=True, exist_ok=True)
        temporary = folder / place / f".{uuid.uuid4().hex}.tmp"
        try:
            write(temporary)
            name = f"{place}/{file_sha256(temporary)[:32]}.parquet"
            size = temporary.stat().st_size
            if not (folder / name).exists():
                fsync_file(temporary)
                temporary.replace(folder / name)
        finally:
            temporary.unlink(missing_ok=True)
        return name, size

    def _link_empty(self, place: str) -> tuple[str, int]:
        """Empty days are many and have equal bytes: one file serves all, without a flush for each."""
        first, size = self._empty or ("", 0)
        folder = self.lake.root / self.contract.name
        name = f"{place}/{first.rsplit('/', 1)[1]}"
        (folder / place).mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.link(folder / first, folder / name)
        return name, size

    def _publish(self) -> Commit:
        changed = [day for day, (name, _, _) in self._parts.items() if self.before.get(day) != name]
        if changed:
            self._commit(changed)
        return Commit(
            table=self.contract.name,
            version=self.table.version(),
            rows={day: rows for day, (_, rows, _) in self._parts.items()},
            changed=tuple(changed),
            equal=tuple(day for day in self._parts if day not in set(changed)),
        )

    def _commit(self, changed: Sequence[date | None]) -> None:
        actions: list[AddAction | RemoveAction] = []
        for day in changed:
            name, rows, size = self._parts[day]
            values = {"date": day.isoformat()} if day else {}
            stats = json.dumps({"numRecords": rows})
            actions.append(AddAction(name, size, values, 0, True, stats))
        filters = [("date", "in", [day.isoformat() for day in changed if day])] if self.contract.partitioned else None
        try:
            self.table.create_write_transaction(
                actions,
                "overwrite",
                delta_schema(self.contract),
                partition_by=["date"] if self.contract.partitioned else None,
                partition_filters=filters,
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except CommitFailedError:
            raise ConflictError(
                f"table {self.contract.name}: somebody else published while this run computed; run it again"
            ) from None
        self.table.update_incremental()


class Lake:
    """All tables of one tenant under one folder.

    Args:
        root: ``lake/<tenant>``; made when the first table is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, tuple[tuple[str, int], dict[date | None, str]]] = {}

    def exists(self, table: str) -> bool:
        """Whether the table was ever written."""
        return (self.root / table / "_delta_log").is_dir()

    def tables(self) -> list[str]:
        """Names of the tables that exist, sorted."""
        return sorted(name for name in LAKE if self.exists(name))

    def version(self, table: str) -> int | None:
        """Newest Delta version; None when the table does not exist."""
        return self._open(table).version() if self.exists(table) else None

    def files(self, table: str) -> dict[date | None, str]:
        """Active file of each partition, relative to the table; the name changes exactly when the content does."""
        if not self.exists(table):
            return {}
        # Opening a table costs milliseconds and a range run asks once a day, so the newest log entry decides.
        entries = [entry for entry in os.scandir(self.root / table / "_delta_log") if entry.name[0].isdigit()]
        last = max(entries, key=lambda entry: entry.name)
        # The time tells a table that was removed and made again from the one before.
        newest = (last.name, last.stat().st_mtime_ns)
        known = self._known.get(table)
        if known is None or known[0] != newest:
            known = self._known[table] = (newest, _active_files(self._open(table)))
        return dict(known[1])

    def days(self, table: str) -> list[date]:
        """Partitions that were published, empty ones included, sorted."""
        return sorted(day for day in self.files(table) if day is not None)

    def rows(self, table: str) -> dict[date | None, int]:
        """Number of rows of each partition, from the log alone."""
        if not self.exists(table):
            return {}
        actions = pl.DataFrame(self._open(table).get_add_actions(flatten=True))
        return {_day_of_path(path): rows for path, rows in actions.select("path", "num_records").iter_rows()}

    def scan(
        self, table: str, days: Sequence[date] | None = None, *, files: Mapping[date | None, str] | None = None
    ) -> pl.LazyFrame:
        """Lazy rows of a table, or of some of its days; empty and typed where nothing was published.

        Args:
            table: a name of ``schemas.registry.LAKE``.
            days: partitions to read; all when None.
            files: what ``files`` said before, for whoever reads day after day: the log is not opened again.
        """
        contract = contract_of(table)
        active = self.files(table) if files is None else files
        keep = None if days is None else set(days)
        wanted = {day: name for day, name in active.items() if keep is None or day in keep}
        if not wanted:
            return contract.empty().lazy()
        paths = [self.root / table / wanted[day] for day in sorted(wanted, key=lambda d: d or date.min)]
        stored = {c.name: c.dtype for c in contract if not (contract.partitioned and c.name == "date")}
        frame = pl.scan_parquet(
            paths,
            schema=stored,
            hive_partitioning=contract.partitioned,
            hive_schema={"date": pl.Date} if contract.partitioned else None,
            missing_columns="insert",
            extra_columns="ignore",
        )
        return frame.select(contract.names)

    def read(self, table: str, days: Sequence[date] | None = None) -> pl.DataFrame:
        """``scan`` collected."""
        return self.scan(table, days).collect()

    @contextmanager
    def writer(self, table: str) -> Iterator[Writer]:
        """Open a table for one commit; open it **before** reading inputs, so that an older result cannot win.

        On leaving the block without an error everything that was put is published in one commit, and its outcome is
        in ``Writer.commit``. After an error nothing is visible.

        Raises:
            ConflictError: another run committed to the table in between.
        """
        contract = contract_of(table)
        delta = self._open_or_create(contract)
        writer = Writer(self, contract, delta, _active_files(delta))
        try:
            yield writer
        finally:
            writer.close()
        writer.commit = writer._publish()

    def replace(self, table: str, frame: pl.DataFrame) -> Commit:
        """Replace a table without days."""
        with self.writer(table) as writer:
            writer.put(None, frame)
        assert writer.commit is not None  # noqa: S101
        return writer.commit

    def _open(self, table: str) -> DeltaTable:
        contract_of(table)
        try:
            return DeltaTable(self.root / table)
        except TableNotFoundError:
            raise UsageError(f"table {table} is not in the lake yet; run the pipeline first") from None

    def _open_or_create(self, contract: Contract) -> DeltaTable:
        path = self.root / contract.name
        path.mkdir(parents=True, exist_ok=True)
        if not self.exists(contract.name):
            DeltaTable.create(
                path,
                delta_schema(contract),
                mode="ignore",
                partition_by=["date"] if contract.partitioned else None,
                description=contract.description,
            )
        return DeltaTable(path)


def contract_of(table: str) -> Contract:
    """Contract of a lake table.

    Raises:
        UsageError: there is no table of that name.
    """
    if table not in LAKE:
        raise UsageError(f"there is no table {table!r}; tables: {', '.join(sorted(LAKE))}")
    return LAKE[table]


def delta_schema(contract: Contract) -> DeltaSchema:
    """The Delta schema of a contract."""
    return DeltaSchema([Field(column.name, PrimitiveType(_DELTA_TYPES[column.kind])) for column in contract])


def _active_files(table: DeltaTable) -> dict[date | None, str]:
    if table.version() == 0:
        return {}
    paths = pl.DataFrame(table.get_add_actions(flatten=True))
    return {_day_of_path(path): path for path in paths["path"]} if paths.height else {}


def _day_of_path(path: str) -> date | None:
    folder = path.split("/", 1)[0]
    return date.fromisoformat(folder.removeprefix("date=")) if folder.startswith("date=") else None
