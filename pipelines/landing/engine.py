"""The DuckDB that parses what is received: one empty database per process, a connection to it per use.

Opening a database costs as much as parsing a few megabytes. Nothing is ever stored in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock

import duckdb

_opening = Lock()


@contextmanager
def connected() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that one thread may use. A query runs on that thread alone: several pieces are parsed at once."""
    with _opening:
        connection = _database().cursor()
    try:
        yield connection
    finally:
        connection.close()


@lru_cache(maxsize=1)
def _database() -> duckdb.DuckDBPyConnection:
    # Pieces of one file come under the same path one after the other, so that no file may be remembered by its name.
    return duckdb.connect(config={"threads": 1, "enable_external_file_cache": False})


# A database does not survive a fork: its locks may be held by threads that the child does not have.
os.register_at_fork(after_in_child=_database.cache_clear)
