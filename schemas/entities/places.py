"""Outlets and the groups they belong to."""

from __future__ import annotations

from schemas.contract import Column
from schemas.entities.envelope import Entity, Nested

GROUPS = Entity(
    name="groups",
    description="A set of outlets; may be nested, never in a circle.",
    ordered_by="updated_at",
    columns=(
        Column("updated_at", "timestamp", required=True),
        Column("name", "string", required=True),
        Column("kind", "string", required=True, enum=("national", "region", "custom", "banner", "franchise")),
        Column("parent_id", "string", references="groups"),
        Column("outlet_ids", "json", references="outlets"),
        Column("valid_from", "timestamp"),
        Column("valid_to", "timestamp"),
        Column("timezone", "string"),
    ),
)

OUTLETS = Entity(
    name="outlets",
    description="A place that sells or keeps stock, online shops included.",
    ordered_by="updated_at",
    columns=(
        Column("updated_at", "timestamp", required=True),
        Column("name", "string", required=True),
        Column("kind", "string", required=True, enum=("store", "warehouse", "popup", "online")),
        Column("timezone", "string", required=True, description="IANA zone; decides the business date."),
        Column("country", "string", required=True),
        Column("currency", "string"),
        Column("address", "json"),
        Column("latitude", "string", description="Decimal degrees as written."),
        Column("longitude", "string", description="Decimal degrees as written."),
        Column("opening_hours", "json"),
        Column("status", "string", enum=("open", "closed", "planned")),
        Column("opened_on", "date"),
        Column("closed_on", "date"),
        Column("group_ids", "json", references="groups"),
        Column("pos_ids", "json"),
        Column("phone", "string", personal=True),
    ),
    nested=(
        (
            "address",
            (
                Nested("line1", "string"),
                Nested("line2", "string"),
                Nested("city", "string"),
                Nested("region", "string"),
                Nested("postal_code", "string"),
                Nested("country", "string"),
            ),
        ),
    ),
)
