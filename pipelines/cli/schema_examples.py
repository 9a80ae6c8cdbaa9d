"""Example rows of the ledgers that a small simulated retailer leaves empty: it refuses nothing and sends nothing."""

from __future__ import annotations

from schemas.dictionary import Rows

_DAY = "2025-03-03"
_BATCH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

INVENTED: dict[str, Rows] = {
    "unresolved_references": [
        {
            "date": _DAY,
            "entity": "transactions",
            "row_id": "order-000017",
            "field": "customer_id",
            "target_entity": "customers",
            "target_id": "cust-000999",
            "since": "2025-03-03T11:04:09Z",
            "blocked_minor": 4999,
            "currency": "GBP",
        }
    ],
    "quarantine": [
        {
            "date": _DAY,
            "entity": "customer_events",
            "batch_id": _BATCH,
            "line_no": 12,
            "rule": "required",
            "reason": "missing_required:external_id",
        }
    ],
    "webhook_deliveries": [
        {
            "date": _DAY,
            "attempt_id": "000000000042",
            "delivery_id": "dlv_01",
            "endpoint_id": "ep_01",
            "event_id": "evt_01",
            "number": 2,
            "attempted_at": "2025-03-03T11:05:00.120000Z",
            "status": 503,
            "latency_ms": 87,
            "outcome": "retry",
            "error_class": "http_5xx",
        }
    ],
    "sync_runs": [
        {
            "date": _DAY,
            "sync_id": "lapsed-to-crm",
            "run_id": "run_01",
            "mode": "upsert",
            "started_at": "2025-03-03T05:00:00Z",
            "finished_at": "2025-03-03T05:00:07.400000Z",
            "status": "done",
            "added": 12,
            "changed": 3,
            "removed": 1,
            "unchanged": 480,
            "rejected": 0,
            "invalid": 0,
            "retried": 1,
            "parked": 0,
            "cursor": None,
            "definition_version": "dded42673e2e",
            "trigger": "schedule",
        }
    ],
    "sync_changelog": [
        {
            "date": _DAY,
            "sync_id": "lapsed-to-crm",
            "run_id": "run_01",
            "row_key": '["cust-000044"]',
            "attempt": 1,
            "op": "added",
            "payload_hash": _BATCH[:32],
            "status": "rejected",
            "error_code": "unknown_field",
            "error_message": None,
            "http_status": 422,
            "batch_id": "req_01",
            "sent_at": "2025-03-03T05:00:02Z",
            "acked_at": "2025-03-03T05:00:02.300000Z",
        }
    ],
}
