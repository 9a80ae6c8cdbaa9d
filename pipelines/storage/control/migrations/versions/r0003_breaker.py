"""Rate and breaker of endpoints, and indexes of the deliveries in each state that somebody looks for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_INDEXES = {
    "pending": ["endpoint_id", "retrying", "next_attempt_at"],
    "delivering": ["endpoint_id", "lease_until"],
    "dead": ["endpoint_id", "finished_at"],
}


def upgrade() -> None:
    """Add the columns and exchange the indexes."""
    op.add_column("endpoints", sa.Column("rate", sa.Integer))
    op.add_column("endpoints", sa.Column("paced_until", sa.BigInteger))
    op.add_column("endpoints", sa.Column("failures", sa.Integer, nullable=False, server_default="0"))
    op.add_column("endpoints", sa.Column("failing_since", sa.BigInteger))
    op.add_column("endpoints", sa.Column("open_until", sa.BigInteger))
    op.drop_index("ix_deliveries_endpoint_id_state_retrying_next_attempt_at", "deliveries")
    op.drop_index("ix_deliveries_state_next_attempt_at", "deliveries")
    for state, columns in _INDEXES.items():
        where = sa.text(f"state = '{state}'")
        name = f"ix_deliveries_{state}"
        op.create_index(name, "deliveries", columns, sqlite_where=where, postgresql_where=where)
