"""Settings of endpoints that are customer data platforms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; webhooks have none."""
    op.add_column("endpoints", sa.Column("settings", sa.Text, nullable=False, server_default="{}"))
