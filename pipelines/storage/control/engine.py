"""The engine of the control data: opened, migrated, and used in short transactions of one of two kinds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from pipelines.errors import MurmurError

BUSY_TIMEOUT_SECONDS = 30
_WRITES = "murmur_writes"


class ControlError(MurmurError):
    """The control data cannot be reached, or stayed locked for too long."""


def open_control(url: str) -> Engine:
    """Engine of the control data, with its tables brought up to date.

    Args:
        url: SQLAlchemy URL; the file and folder of a SQLite URL are made, readable by their owner alone.
    """
    from pipelines.storage.control.migrate import migrate

    engine = _engine(make_url(url))
    migrate(engine)
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One consistent read transaction."""
    with _plain_errors(engine), engine.begin() as connection:
        yield connection


@contextmanager
def writing(engine: Engine, alone: str | None = None) -> Iterator[Connection]:
    """One write transaction: committed on leaving without an error, else rolled back.

    Args:
        engine: of the control data.
        alone: name of a piece of work that no two transactions do at once; SQLite has one writer anyway.

    On SQLite the write lock is taken at once: a transaction that reads first and asks for the lock later fails when
    another process wrote in between, however long it would be ready to wait.
    """
    with _plain_errors(engine), engine.execution_options(**{_WRITES: True}).begin() as connection:
        if alone is not None and engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": alone})
        yield connection


@contextmanager
def _plain_errors(engine: Engine) -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise _said(engine, error) from None
    except DBAPIError as error:
        # A connection that broke off in the middle has other names in some drivers.
        if not error.connection_invalidated:
            raise
        raise _said(engine, error) from None


def _said(engine: Engine, error: DBAPIError) -> ControlError:
    """The first line of the driver's words alone: the whole message repeats the statement."""
    where = engine.url.render_as_string(hide_password=True)
    line = next(iter(str(error.orig).strip().splitlines()), "no reason given")
    return ControlError(f"control data at {where}: {line}; nothing was changed, try again")


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, hide_parameters=True)
    if url.database and url.database != ":memory:":
        _create_private(Path(url.database))
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_SECONDS}, hide_parameters=True)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _create_private(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))


def _configure_sqlite(connection: Any, record: Any) -> None:
    # The driver's own transaction handling would commit at times of its choosing.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # Survives a killed process; a power cut may lose the last commits, which the outbox repairs by sending again.
    cursor.execute("PRAGMA synchronous=NORMAL")
    # Each checkpoint writes and flushes the pages that changed; a queue changes the same ones again and again.
    cursor.execute("PRAGMA wal_autocheckpoint=4000")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
