"""Control data in SQL: endpoints, the outbox, its attempts. Tables, engine and migrations; no business rules.

SQLite in WAL mode by default, PostgreSQL by URL. Instants are whole microseconds since the epoch, UTC.
"""

from __future__ import annotations

from pipelines.storage.control.engine import open_control, reading, writing

__all__ = ["open_control", "reading", "writing"]
