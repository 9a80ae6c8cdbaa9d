"""Columns and enums that tables of several stages share."""

from __future__ import annotations

from schemas.contract import Column

DATE = Column("date", "date", required=True, description="Tenant day of the row.")
DIRECTIONS = ("entered", "exited")
SUBJECT_TYPES = ("visitor", "customer", "product")
