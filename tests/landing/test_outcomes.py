"""A caller that asks is told what became of each row, and the answer adds up with the receipt."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pipelines.landing.ingest import ingest_bytes
from tests.landing.support import NOW, customer, land, ndjson, tenant

BODY = ndjson(
    [
        customer(external_id="c-1"),
        customer(external_id="c-2", updated_at="never"),
        customer(external_id="c-1"),
        '{"external_id": ',
        customer(external_id="c-0", updated_at="2026-01-01T00:00:00Z"),
    ]
).replace(b"\n", b"\n\n", 1)


def test_each_row_has_its_outcome(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    land(where, "customers", [customer(external_id="c-0")])
    receipt = ingest_bytes(where, "customers", BODY, "body.ndjson", received_at=NOW, outcomes=True)
    assert receipt.outcomes is not None
    told = [(o.index, o.line_no, o.external_id, o.status, o.reason) for o in receipt.outcomes]
    assert told == [
        (0, 1, "c-1", "accepted", None),
        (1, 3, "c-2", "quarantined", "invalid_timestamp:updated_at"),
        (2, 4, "c-1", "duplicate", None),
        (3, 5, None, "quarantined", "malformed_json"),
        (4, 6, "c-0", "superseded", None),
    ]
    counted = Counter(o.status for o in receipt.outcomes)
    assert {name: counted[name] for name in counted} == {
        "accepted": receipt.accepted,
        "duplicate": receipt.duplicate,
        "superseded": receipt.superseded,
        "quarantined": receipt.quarantined,
    }


def test_a_body_sent_again_repeats_its_reasons(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    land(where, "customers", BODY)
    again = ingest_bytes(where, "customers", BODY, "body.ndjson", received_at=NOW, outcomes=True)
    assert again.known
    assert again.outcomes is not None
    assert {o.status for o in again.outcomes} == {"duplicate"}
    assert [o.reason for o in again.outcomes] == [
        None,
        "invalid_timestamp:updated_at",
        None,
        "malformed_json",
        None,
    ]


def test_a_body_that_cannot_be_read_is_one_outcome(tmp_path: Path) -> None:
    receipt = ingest_bytes(tenant(tmp_path), "customers", b"", "body.json", received_at=NOW, outcomes=True)
    assert receipt.outcomes is not None
    assert [(o.line_no, o.status, o.reason) for o in receipt.outcomes] == [(0, "quarantined", "empty_file")]


def test_nobody_is_told_who_did_not_ask(tmp_path: Path) -> None:
    assert land(tenant(tmp_path), "customers", BODY).outcomes is None
