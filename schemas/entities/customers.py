"""Customers: the one entity that arrives with contact details, which the split sends to the vault."""

from __future__ import annotations

from schemas.contract import Column
from schemas.entities.envelope import Entity, Nested

CUSTOMERS = Entity(
    name="customers",
    description="A known customer, without contact details.",
    ordered_by="updated_at",
    columns=(
        Column("updated_at", "timestamp", required=True, description="Orders the versions, not arrival."),
        Column("email", "string", personal=True),
        Column("phone", "string", personal=True, description="E.164."),
        Column("first_name", "string", personal=True),
        Column("last_name", "string", personal=True),
        Column("birth_date", "date", personal=True),
        Column("address", "json", personal=True),
        Column("gender", "string", personal=True),
        Column("loyalty_card_number", "string", personal=True),
        Column("home_outlet_id", "string", references="outlets"),
        Column("registered_at", "timestamp"),
        Column("language", "string", description="BCP 47."),
        Column("country", "string", description="ISO 3166-1 alpha-2."),
        Column("status", "string", enum=("active", "inactive", "blocked", "erased")),
        Column("consents", "json"),
        Column("tags", "json"),
        Column("merged_into", "string", references="customers", description="The customer this one was merged into."),
    ),
    nested=(
        (
            "consents",
            (
                Nested("channel", "string", enum=("email", "sms", "push", "post", "phone")),
                Nested("status", "string", enum=("opted_in", "opted_out", "unknown")),
                Nested("updated_at", "timestamp"),
                Nested("source", "string"),
                Nested("campaign_id", "string", "campaigns"),
            ),
        ),
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
    derived=(
        Column("has_email", "boolean", description="An e-mail address is in the vault."),
        Column("has_phone", "boolean", description="A phone number is in the vault."),
        Column(
            "contact_hash",
            "string",
            description="HMAC of the normalised e-mail address with the tenant's key, to match opt-outs.",
        ),
        Column("birth_year", "int64"),
        Column("postal_district", "string", description="Outward part of the postal code."),
        Column(
            "phone_hash",
            "string",
            description="HMAC of the normalised phone number with the tenant's key, to match opt-outs.",
        ),
    ),
)
