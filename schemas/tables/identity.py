"""Identity: which customer an id stands for, once customers were merged."""

from __future__ import annotations

from schemas.contract import Column, Contract

CUSTOMER_MERGES = Contract(
    name="customer_merges",
    description="After which instant an id stands for which customer; an id that is not in it stands for itself.",
    partitioned=False,
    primary_key=("external_id", "effective_from"),
    columns=(
        Column("external_id", "string", required=True, description="Customer id as records name it."),
        Column(
            "effective_from", "timestamp", required=True, description="0001-01-01 where it holds from the beginning."
        ),
        Column("customer_id", "string", required=True, description="Customer that it stands for; itself after an end."),
        Column("is_circular", "boolean", required=True, description="The ids name each other; the least one counts."),
    ),
)
