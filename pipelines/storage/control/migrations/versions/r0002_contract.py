"""What an endpoint may ask for: own headers, batches, a handshake. Files of every table that the outbox reads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; the files are forgotten, so that they are read once more and found known by their ids."""
    op.add_column("endpoints", sa.Column("headers", sa.Text))
    op.add_column("endpoints", sa.Column("header_names", sa.Text, nullable=False, server_default="[]"))
    op.add_column("endpoints", sa.Column("batch_max", sa.Integer, nullable=False, server_default="1"))
    op.add_column("endpoints", sa.Column("handshake", sa.String(16), nullable=False, server_default="off"))
    op.add_column("endpoints", sa.Column("handshake_at", sa.BigInteger))
    op.add_column("endpoints", sa.Column("handshake_result", sa.String(64)))
    op.drop_table("outbox_partitions")
    op.create_table(
        "outbox_partitions",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("source", sa.String(64), primary_key=True),
        sa.Column("date", sa.String(10), primary_key=True),
        sa.Column("file", sa.String(255), nullable=False),
    )
