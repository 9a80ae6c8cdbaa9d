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
    SIGNAL_CROSSINGS,
    SIGNAL_METRICS,
    SIGNAL_SNAPSHOTS,
    SIGNAL_WINDOWS,
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
