"""Tables of the lake that the pipeline computes: facts, signals, cohorts and their ledgers.

Every table is sorted by its primary key. Valid-time tables hold nothing that depends on arrival; ledgers are marked.
"""

from __future__ import annotations

from schemas.contract import Contract
from schemas.tables.cohorts import (
    COHORT_MEMBERSHIP,
    COHORT_MEMBERSHIP_HISTORY,
    COHORT_SIZES,
    COHORT_SUPPRESSED,
    COHORT_TRANSITIONS,
    CONTEXT,
    OPEN_SPANS,
)
from schemas.tables.facts import (
    CART_ACTIVITY,
    CUSTOMER_DAILY,
    CUSTOMER_ORDERS,
    LINK_CLICKS,
    ORDER_LINES,
    PRODUCT_DAILY,
    PRODUCT_HOURLY,
    VISITOR_ACTS,
    VISITOR_CHECKOUTS,
    VISITOR_DAILY,
    VISITOR_ORDERS,
    VISITOR_PURCHASES,
)
from schemas.tables.identity import CUSTOMER_MERGES
from schemas.tables.ledgers import (
    BATCH_PARTITIONS,
    BATCHES,
    COHORT_DEFINITIONS,
    EVENT_LOG,
    EXPORT_SLO,
    QUARANTINE,
    UNRESOLVED_REFERENCES,
)
from schemas.tables.referrals import REFERRAL_CHANGES, REFERRAL_KINDS
from schemas.tables.shared import DATE, DIRECTIONS, SUBJECT_TYPES
from schemas.tables.signals import (
    SIGNAL_CROSSINGS,
    SIGNAL_METRICS,
    SIGNAL_SNAPSHOTS,
    SIGNAL_WINDOWS,
    VISITOR_SIGNAL_CROSSINGS,
    VISITOR_SIGNAL_SNAPSHOTS,
)
from schemas.tables.syncs import SYNC_CHANGELOG, SYNC_RUNS, SYNC_SNAPSHOT

__all__ = [
    "BATCHES",
    "BATCH_PARTITIONS",
    "CART_ACTIVITY",
    "COHORT_DEFINITIONS",
    "COHORT_MEMBERSHIP",
    "COHORT_MEMBERSHIP_HISTORY",
    "COHORT_SIZES",
    "COHORT_SUPPRESSED",
    "COHORT_TRANSITIONS",
    "CONTEXT",
    "CUSTOMER_DAILY",
    "CUSTOMER_MERGES",
    "CUSTOMER_ORDERS",
    "DATE",
    "DIRECTIONS",
    "EVENT_LOG",
    "EXPORT_SLO",
    "LINK_CLICKS",
    "OPEN_SPANS",
    "ORDER_LINES",
    "PRODUCT_DAILY",
    "PRODUCT_HOURLY",
    "QUARANTINE",
    "REFERRAL_CHANGES",
    "REFERRAL_KINDS",
    "SIGNAL_CROSSINGS",
    "SIGNAL_METRICS",
    "SIGNAL_SNAPSHOTS",
    "SIGNAL_WINDOWS",
    "SUBJECT_TYPES",
    "SYNC_CHANGELOG",
    "SYNC_RUNS",
    "SYNC_SNAPSHOT",
    "TABLES",
    "UNRESOLVED_REFERENCES",
    "VISITOR_ACTS",
    "VISITOR_CHECKOUTS",
    "VISITOR_DAILY",
    "VISITOR_ORDERS",
    "VISITOR_PURCHASES",
    "VISITOR_SIGNAL_CROSSINGS",
    "VISITOR_SIGNAL_SNAPSHOTS",
]

TABLES: dict[str, Contract] = {
    contract.name: contract
    for contract in (
        UNRESOLVED_REFERENCES,
        CUSTOMER_MERGES,
        CART_ACTIVITY,
        CUSTOMER_ORDERS,
        ORDER_LINES,
        VISITOR_ORDERS,
        VISITOR_PURCHASES,
        VISITOR_ACTS,
        VISITOR_CHECKOUTS,
        VISITOR_DAILY,
        CUSTOMER_DAILY,
        LINK_CLICKS,
        PRODUCT_HOURLY,
        PRODUCT_DAILY,
        SIGNAL_SNAPSHOTS,
        SIGNAL_WINDOWS,
        SIGNAL_CROSSINGS,
        SIGNAL_METRICS,
        VISITOR_SIGNAL_SNAPSHOTS,
        VISITOR_SIGNAL_CROSSINGS,
        COHORT_MEMBERSHIP,
        COHORT_TRANSITIONS,
        COHORT_SIZES,
        COHORT_SUPPRESSED,
        COHORT_MEMBERSHIP_HISTORY,
        COHORT_DEFINITIONS,
        REFERRAL_CHANGES,
        EVENT_LOG,
        EXPORT_SLO,
        SYNC_RUNS,
        SYNC_CHANGELOG,
        SYNC_SNAPSHOT,
        BATCHES,
        BATCH_PARTITIONS,
        QUARANTINE,
    )
}
