"""Contracts of what readers outside see: Parquet datasets on S3 and the five daily CSV files on GCS.

What belongs here: names, columns in file order, keys and versions. Within a major version columns are only appended,
at the right end. Which rows a file holds is decided by ``pipelines.exports``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from schemas.campaign_files import (
    CAMPAIGN_CUSTOMERS_CSV,
    CAMPAIGN_SKUS_CSV,
    CAMPAIGNS_CSV,
    CSV_FILES,
    DECIMALS,
    LINK_STATISTICS_CSV,
    OFFERS,
    OPT_OUTS_CSV,
    ROLES,
)
from schemas.contract import Column, Contract
from schemas.entities.activity import CUSTOMER_EVENTS
from schemas.tables import (
    COHORT_MEMBERSHIP,
    COHORT_MEMBERSHIP_HISTORY,
    COHORT_SIZES,
    COHORT_TRANSITIONS,
    DATE,
    QUARANTINE,
    SIGNAL_CROSSINGS,
    SIGNAL_METRICS,
    SIGNAL_SNAPSHOTS,
    SIGNAL_WINDOWS,
    SYNC_CHANGELOG,
    SYNC_RUNS,
    UNRESOLVED_REFERENCES,
    VISITOR_SIGNAL_CROSSINGS,
    VISITOR_SIGNAL_SNAPSHOTS,
)

__all__ = [
    "CAMPAIGNS_CSV",
    "CAMPAIGN_CUSTOMERS_CSV",
    "CAMPAIGN_FILES",
    "CAMPAIGN_SKUS_CSV",
    "CSV_FILES",
    "DATASETS",
    "DECIMALS",
    "EVENTS",
    "FREE_TEXT",
    "LINK_STATISTICS_CSV",
    "OFFERS",
    "OPT_OUTS_CSV",
    "ROLES",
    "contract_sha256",
    "file_contract",
]

#: Fields of an event that a person may have typed something personal into.
FREE_TEXT = ("query", "attributes", "message_ref")

EVENTS = Contract(
    name="events",
    description="What visitors and customers did on a day, without free text.",
    primary_key=("date", "event_id"),
    columns=(
        DATE,
        Column("event_id", "string", required=True, description="external_id of the event."),
        *(replace(column, required=False) for column in CUSTOMER_EVENTS.columns if column.name not in FREE_TEXT),
    ),
)

IDENTITY_LINKS_DATASET = Contract(
    name="identity_links",
    description="Which visitor was which customer from an instant on; ids only, for tenants who ask for it.",
    primary_key=("date", "identity_link_id"),
    columns=(
        DATE,
        Column("identity_link_id", "string", required=True, description="external_id of the link."),
        Column("flockr_vid", "string", required=True, description="Visitor."),
        Column("customer_id", "string", required=True, references="customers", description="Customer."),
        Column(
            "resolution_event",
            "string",
            required=True,
            enum=("login", "signup", "checkout", "email_click"),
            description="How the visitor came to be known as the customer.",
        ),
        Column("occurred_at", "timestamp", required=True, description="From when on it is known."),
    ),
)

UNRESOLVED_DATASET = replace(
    UNRESOLVED_REFERENCES,
    primary_key=("date", *UNRESOLVED_REFERENCES.primary_key),
    columns=(DATE, *(column for column in UNRESOLVED_REFERENCES if column.name != "date")),
    partitioned=True,
)

QUARANTINE_DATASET = Contract(
    name="quarantine",
    description="Ledger: a row that was refused and why; nothing of what it held.",
    primary_key=("date", "entity", "batch_id", "line_no"),
    columns=(
        DATE,
        *(QUARANTINE[name] for name in ("entity", "batch_id", "line_no", "rule", "reason")),
    ),
)

WEBHOOK_DELIVERIES = Contract(
    name="webhook_deliveries",
    description="Ledger: one attempt to deliver an event to an endpoint, on the day on which it was made.",
    primary_key=("date", "attempt_id"),
    columns=(
        DATE,
        Column("attempt_id", "string", required=True, description="In the order of the attempts."),
        Column("delivery_id", "string", required=True, description="Delivery of one event to one endpoint."),
        Column("endpoint_id", "string", required=True, description="Endpoint."),
        Column("event_id", "string", required=True, description="Event."),
        Column("number", "int64", required=True, minimum=0, description="Which attempt of the delivery."),
        Column("attempted_at", "timestamp", required=True, description="When it was tried."),
        Column("status", "int64", description="Of the answer; null where there was none."),
        Column(
            "latency_ms",
            "int64",
            required=True,
            minimum=0,
            description="Milliseconds until the answer, or until none was waited for.",
        ),
        Column("outcome", "string", required=True, description="delivered, retry, dead, sandbox, late."),
        Column("error_class", "string", description="Why there was no answer, or what kind of answer it was."),
    ),
)

#: Datasets that say what we knew and did, which depends on arrival; and who is who, for tenants who ask for it.
LEDGERS: dict[str, Contract] = {
    contract.name: contract
    for contract in (
        UNRESOLVED_DATASET,
        QUARANTINE_DATASET,
        WEBHOOK_DELIVERIES,
        SYNC_RUNS,
        SYNC_CHANGELOG,
        IDENTITY_LINKS_DATASET,
    )
}

#: Dataset name -> contract. Rows are those of the lake table of that name; ``events`` comes from customer_events.
DATASETS: dict[str, Contract] = {
    contract.name: contract
    for contract in (
        COHORT_MEMBERSHIP,
        COHORT_TRANSITIONS,
        COHORT_SIZES,
        SIGNAL_SNAPSHOTS,
        SIGNAL_CROSSINGS,
        VISITOR_SIGNAL_SNAPSHOTS,
        VISITOR_SIGNAL_CROSSINGS,
        EVENTS,
        COHORT_MEMBERSHIP_HISTORY,
        SIGNAL_WINDOWS,
        SIGNAL_METRICS,
        *LEDGERS.values(),
    )
}

#: Name under which the five files are published together.
CAMPAIGN_FILES = "campaign_files"


def file_contract(dataset: str) -> Contract:
    """The columns inside a Parquet file: those of the dataset without ``date``, which is in the path."""
    contract = DATASETS[dataset]
    return replace(
        contract,
        columns=contract.columns[1:],
        primary_key=contract.primary_key[1:],
        partitioned=False,
    )


def contract_sha256(*contracts: Contract) -> str:
    """sha256 of names, kinds, duties and enums, in order; changes whenever a reader could notice."""
    described = [
        [contract.name, contract.version, list(contract.primary_key)]
        + [[column.name, column.kind, column.required, list(column.enum or ())] for column in contract]
        for contract in contracts
    ]
    return hashlib.sha256(json.dumps(described, separators=(",", ":")).encode()).hexdigest()
