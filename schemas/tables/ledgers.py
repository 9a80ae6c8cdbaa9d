"""Ledgers: what was received, refused, waited for, told and published. They alone may say when we noticed."""

from __future__ import annotations

from schemas.contract import Column, Contract
from schemas.tables.shared import DATE

UNRESOLVED_REFERENCES = Contract(
    name="unresolved_references",
    description="Ledger: a row that names an entity which has not arrived.",
    partitioned=False,
    primary_key=("entity", "row_id", "field", "target_entity", "target_id"),
    columns=(
        Column("entity", "string", required=True, description="Entity of the waiting row."),
        Column("row_id", "string", required=True, description="external_id of the waiting row."),
        Column("field", "string", required=True, description="Field that names it."),
        Column("target_entity", "string", required=True, description="Entity that is named."),
        Column("target_id", "string", required=True, description="external_id that has not arrived."),
        Column("since", "timestamp", required=True, description="Instant of the waiting row's first version."),
        Column(
            "date",
            "date",
            description="Tenant day that waits. Null where the waiting row belongs to no day: it holds on every day"
            " from its instant on, and each day that uses it becomes stale when what it names arrives.",
        ),
        Column("blocked_minor", "int64", description="Money of the waiting row, in minor units."),
        Column("currency", "string", description="ISO 4217."),
    ),
)

BATCHES = Contract(
    name="batches",
    description="Ledger: one received file or request body and what became of its rows.",
    partitioned=False,
    primary_key=("entity", "batch_id"),
    columns=(
        Column("entity", "string", required=True),
        Column("batch_id", "string", required=True, description="sha256 of the received bytes."),
        Column("file", "string", description="File name as received, without its folder."),
        Column("received_at", "timestamp", required=True),
        Column("source", "string", required=True, enum=("file", "http", "drop")),
        Column("bytes", "int64", required=True),
        Column("received", "int64", required=True),
        Column("accepted", "int64", required=True),
        Column("duplicate", "int64", required=True),
        Column("superseded", "int64", required=True),
        Column("quarantined", "int64", required=True),
        Column("first_date", "date"),
        Column("last_date", "date"),
        Column("file_reason", "string", description="Why the whole file was quarantined."),
        Column(
            "conflicting_messages",
            "int64",
            minimum=0,
            description="Other contents that its rows gave to a message id that had one; the rows count as any others.",
        ),
        Column(
            "replay_of",
            "string",
            description="Batch whose refused rows it replays; they count in both, so take `replayed` off the first.",
        ),
        Column(
            "replayed",
            "int64",
            minimum=0,
            description="Refused rows of it that replays have moved, and that count in the batches they moved to.",
        ),
    ),
)

QUARANTINE = Contract(
    name="quarantine",
    description="Ledger: a row that was refused, with the reason and without its personal data.",
    partitioned=False,
    primary_key=("entity", "batch_id", "line_no"),
    columns=(
        Column("entity", "string", required=True, description="Entity of the row."),
        Column("batch_id", "string", required=True, description="Batch that it came in, the sha256 of its bytes."),
        Column("file", "string"),
        Column("line_no", "int64", required=True, description="1-based; 0 for a whole file."),
        Column("rule", "string", required=True, description="Rule that it breaks."),
        Column("reason", "string", required=True, description="Typed reason, such as missing_required:external_id."),
        Column("redacted_row", "json", description="Keys with the shape of their values; never a value."),
        Column("date", "date", description="Tenant day of the row, where it has one and says it readably."),
    ),
)

BATCH_PARTITIONS = Contract(
    name="batch_partitions",
    description="Ledger: what became of the rows of one batch on one tenant day; adds up to batches.",
    partitioned=False,
    primary_key=("entity", "batch_id", "day"),
    columns=(
        Column("entity", "string", required=True),
        Column("batch_id", "string", required=True),
        Column("day", "date", description="Tenant day; null where the entity has none or a refused row says none."),
        Column("received", "int64", required=True, minimum=0),
        Column("accepted", "int64", required=True, minimum=0),
        Column("duplicate", "int64", required=True, minimum=0),
        Column("superseded", "int64", required=True, minimum=0),
        Column("quarantined", "int64", required=True, minimum=0),
    ),
)

EVENT_LOG = Contract(
    name="event_log",
    description="Ledger: what was told to the world or withheld, and when; retractions included.",
    primary_key=("date", "event_id"),
    columns=(
        Column("date", "date", required=True, description="Tenant day of what it tells."),
        Column(
            "event_id", "string", required=True, description="Hash of transition, crossing or change, kind, generation."
        ),
        Column("kind", "string", required=True, description="Event type, such as cohort.entered."),
        Column("transition_id", "string"),
        Column("crossing_id", "string"),
        Column(
            "generation",
            "int64",
            required=True,
            minimum=0,
            description="0 for the first telling; one more for each true-again.",
        ),
        Column("emission", "string", required=True, enum=("sent", "withheld")),
        Column("withheld_because", "string", enum=("backfill", "definition", "too_old")),
        Column("effective_at", "timestamp", required=True, description="Instant of the data at which it became true."),
        Column("detected_at", "timestamp", required=True, description="When a run noticed it."),
        Column("supersedes", "string", description="The event that a retraction takes back."),
        Column("cohort_id", "string"),
        Column("subject_type", "string"),
        Column("subject", "string"),
        Column("payload", "json", required=True, description="The data object of the event."),
        Column("signal_id", "string", description="For a crossing."),
        Column("change_id", "string", description="Row of referral_changes that the event tells."),
    ),
)

COHORT_DEFINITIONS = Contract(
    name="cohort_definitions",
    description="Ledger: every definition of a cohort that was computed, and on which days it counts.",
    partitioned=False,
    primary_key=("cohort_id", "place"),
    columns=(
        Column("cohort_id", "string", required=True, description="Id of the definition; a family has one."),
        Column("place", "int64", required=True, minimum=1, description="1 for the first definition of the cohort."),
        Column("definition_version", "string", description="Hash of the resolved definition; null: the cohort ends."),
        Column("active_from", "date", description="First day on which it counts; null: from the beginning."),
        Column("active_to", "date", description="Last day on which it counts; null: until further notice."),
        Column("first_seen", "timestamp", required=True, description="When a run met it first."),
        Column("definition", "json", description="The definition with all parameters resolved."),
    ),
)

EXPORT_SLO = Contract(
    name="export_slo",
    description="Ledger: what was promised for a dataset and day, and what was published.",
    primary_key=("date", "dataset", "revision"),
    columns=(
        DATE,
        Column("dataset", "string", required=True),
        Column("revision", "int64", required=True, minimum=1),
        Column("promised_at", "timestamp", required=True),
        Column("published_at", "timestamp", required=True),
        Column("reason", "string", required=True, enum=("initial", "late_data", "definition", "schema", "manual")),
        Column("rows", "int64", required=True, minimum=0),
        Column("completeness", "ratio", description="Share of references that resolve."),
        Column("missing", "json", description="Unresolved references by kind."),
    ),
)
