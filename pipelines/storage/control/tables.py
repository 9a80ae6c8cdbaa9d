"""Tables of the control data as SQLAlchemy Core objects.

Instants are integer microseconds since the epoch (UTC). Lists and maps are canonical JSON text. A change here needs a
migration beside it; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)

#: SQLite numbers rows by itself only where the type is exactly INTEGER.
SEQUENCE = BigInteger().with_variant(Integer, "sqlite")

DELIVERY_STATES = ("pending", "delivering", "delivered", "dead", "cancelled")


def _of_state(state: str, *columns: str) -> Index:
    """An index of the deliveries in one state, so that those that ended cost nothing where work is looked for.

    A query finds it only where the state stands in its text, not in a parameter.
    """
    where = text(f"state = '{state}'")
    return Index(f"ix_deliveries_{state}", *columns, sqlite_where=where, postgresql_where=where)


endpoints = Table(
    "endpoints",
    metadata,
    Column("endpoint_id", String(64), primary_key=True),
    Column("tenant", String(64), nullable=False, index=True),
    Column("url", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("event_types", Text, nullable=False),  # JSON list of types, or patterns such as cohort.*
    Column("filters", Text, nullable=False),  # JSON object, see pipelines.delivery.subscriptions
    Column("format", String(16), nullable=False),
    Column("mode", String(16), nullable=False),  # live, or sandbox: recorded and never sent
    Column("allow_private", Boolean, nullable=False),
    Column("max_in_flight", Integer, nullable=False),
    Column("headers", Text),  # encrypted JSON object: headers of the owner's own
    Column("header_names", Text, nullable=False, server_default="[]"),  # JSON list of their names
    Column("batch_max", Integer, nullable=False, server_default="1"),  # events in a request; 1: no batches
    Column("settings", Text, nullable=False, server_default="{}"),  # JSON object: what a platform is told of itself
    Column("handshake", String(16), nullable=False, server_default="off"),  # off, optional, required
    Column("handshake_at", BigInteger),  # when permission was asked for last
    Column("handshake_result", String(64)),  # allowed, or why not
    Column("rate", Integer),  # attempts a second at most; no limit where null
    Column("paced_until", BigInteger),  # how far the attempts that were begun reach at that rate
    Column("secret", Text, nullable=False),  # encrypted
    Column("previous_secret", Text),  # encrypted; signs beside the new one until previous_until
    Column("previous_until", BigInteger),
    Column("declared_in", String(255)),  # file of the tenant's folder that owns the row, if one does
    Column("state", String(16), nullable=False),
    Column("disabled_because", String(64)),
    Column("paused_until", BigInteger),
    Column("failures", Integer, nullable=False, server_default="0"),  # in a row, see pipelines.delivery.breaker
    Column("failing_since", BigInteger),
    Column("open_until", BigInteger),  # nothing is sent until then, and one probe after it
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=True),
    Column("tenant", String(64), nullable=False),
    Column("event_id", String(64), nullable=False),
    Column("type", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("recorded_time", BigInteger, nullable=False),
    Column("data", Text, nullable=False),  # canonical JSON
    UniqueConstraint("tenant", "event_id"),
    Index(None, "tenant", "recorded_time"),
    sqlite_autoincrement=True,
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("delivery_id", String(64), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("event_id", String(64), nullable=False),
    Column("endpoint_id", String(64), nullable=False),
    Column("purpose", String(16), nullable=False),  # event, or test: tried once
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),  # since the delivery was created or replayed
    Column("retrying", Boolean, nullable=False),  # attempts > 0; in the index, so that neither kind hides the other
    Column("first_attempt_at", BigInteger),
    Column("next_attempt_at", BigInteger, nullable=False),
    Column("lease_until", BigInteger),
    Column("lease_token", String(64)),
    Column("last_error", String(64)),
    Column("created_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    UniqueConstraint("endpoint_id", "event_id"),
    _of_state("pending", "endpoint_id", "retrying", "next_attempt_at"),
    _of_state("delivering", "endpoint_id", "lease_until"),
    _of_state("dead", "endpoint_id", "finished_at"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("attempt_id", SEQUENCE, primary_key=True, autoincrement=True),
    Column("delivery_id", String(64), nullable=False, index=True),
    Column("tenant", String(64), nullable=False),
    Column("endpoint_id", String(64), nullable=False),
    Column("event_id", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at", BigInteger, nullable=False, index=True),
    Column("url", Text, nullable=False),  # without the query, which may hold a token
    Column("status", Integer),
    Column("latency_ms", Integer, nullable=False),
    Column("outcome", String(16), nullable=False),  # delivered, retry, dead, sandbox, late
    Column("error_class", String(64)),
    Column("response", Text),  # at most 1 KiB, redacted
    sqlite_autoincrement=True,
)

#: Which file of each partition was taken over into ``events``, by lake table; only changed ones are read again.
outbox_partitions = Table(
    "outbox_partitions",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("source", String(64), primary_key=True),
    Column("date", String(10), primary_key=True),
    Column("file", String(255), nullable=False),
)
