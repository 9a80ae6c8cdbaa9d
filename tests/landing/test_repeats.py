"""Files and rows that come again, older versions, and the accounting of all of it."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.landing import pieces, store
from tests.landing.support import counts, customer, event, land, ndjson, row, rows, tenant


def test_the_same_file_again_is_nothing(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    body = ndjson([event(), event(external_id="e-2"), event(external_id=...)])
    first = land(where, "customer_events", body)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    again = land(where, "customer_events", body, "other-name.ndjson")
    assert counts(first) == (3, 2, 0, 0, 1)
    assert (again.known, counts(again)) == (True, (3, 0, 3, 0, 0))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == before


def test_duplicates_are_dropped_and_other_versions_kept(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    old = customer(updated_at="2026-01-01T00:00:00Z", tags=["a"])
    new = customer(updated_at="2026-01-03T00:00:00Z", tags=["b"])
    other = customer(updated_at="2026-01-03T00:00:00Z", tags=["c"])
    assert counts(land(where, "customers", [new, old, new])) == (3, 1, 1, 1, 0)
    second = land(where, "customers", [other, old])
    # Two versions of one instant: their hash decides which is newest, so either may be the superseded one.
    assert (second.duplicate, second.accepted + second.superseded) == (1, 1)
    found = rows(where, "customers")
    assert sorted((r["tags"], r["repeat"]) for r in found) == [('["a"]', True), ('["b"]', False), ('["c"]', True)]


def test_a_tombstone_wins_over_a_version_of_its_instant(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    receipt = land(where, "customers", [customer(), customer(op="delete")])
    assert counts(receipt) == (2, 1, 0, 1, 0)


def test_rows_are_sorted_and_typed_as_the_contract_says(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    records = [event(external_id=f"e-{n % 7}", occurred_at=f"2026-01-{1 + n % 5:02}T23:30:00-01:00") for n in range(30)]
    land(where, "customer_events", records)
    frame = store.scan(where, "customer_events").collect()
    assert frame.equals(frame.sort("date", "id_key", "order_at", "line_no"))
    # Half past midnight in London belongs to the next day.
    assert str(frame["date"].min()) == "2026-01-02"
    assert store.dates(where, "customer_events") == frame["date"].unique().sort().to_list()
    days = store.dates(where, "customer_events")[1:3]
    assert store.scan(where, "customer_events", days).collect()["date"].unique().sort().to_list() == days


def test_natural_keys_become_ids(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    link = {"flockr_vid": "v", "customer_id": "c", "resolution_event": "login", "occurred_at": "2026-01-01T00:00:00Z"}
    receipt = land(where, "identity_links", [link, {**link, "occurred_at": 1767225600}])
    assert counts(receipt) == (2, 1, 1, 0, 0)
    assert len(row(where, "identity_links")["external_id"]) == 32


def test_opt_outs_without_updated_at_are_ordered_by_when_they_happened(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    base = {"external_id": "o", "channel": "email", "scope": "all", "action": "opt_out", "reason": "complaint"}
    land(where, "opt_outs", [{**base, "customer_id": "c", "occurred_at": "2026-01-01T00:00:00Z"}])
    found = row(where, "opt_outs")
    assert found["order_at"] == found["occurred_at"]
    assert found["updated_at"] is None


def test_both_referral_shapes(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    shape_a = {
        "name": "referral.accepted",
        "entity": "referral",
        "entityId": "r-1",
        "data": {"campaignId": "k", "referrer": {"id": "c-1"}, "invitee": {"id": "c-2"}},
        "timestamp": 1767225600,
    }
    shape_b = {
        "entity": "referral",
        "entityId": "r-2",
        "organizationId": "org",
        "applicationId": "app",
        "campaignId": "k",
        "name": "something.new",
        "description": "Ann told a friend",
        "timestamp": "2026-01-01T01:00:00+01:00",
    }
    receipt = land(where, "referral_events", [shape_a, shape_b])
    assert counts(receipt) == (2, 2, 0, 0, 0)
    found = {r["entity_id"]: r for r in rows(where, "referral_events")}
    assert (found["r-1"]["shape"], found["r-1"]["referrer_id"], found["r-1"]["campaign_id"]) == ("A", "c-1", "k")
    assert (found["r-2"]["shape"], found["r-2"]["organization_id"], found["r-2"]["name"]) == (
        "B",
        "org",
        "something.new",
    )
    assert found["r-1"]["occurred_at"] == found["r-2"]["occurred_at"]
    assert receipt.unknown_fields == {}


def test_many_pieces_land_as_one_piece_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [
        event(external_id=f"e-{n * 7 % 300}", occurred_at=f"2026-01-{1 + n % 20:02}T10:00:00Z", value_minor=n % 3)
        for n in range(900)
    ]
    one, many = tenant(tmp_path / "one"), tenant(tmp_path / "many")
    first = land(one, "customer_events", records)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 10_000)
    second = land(many, "customer_events", records)
    assert first.to_json() == second.to_json()
    assert first.duplicate
    assert store.scan(one, "customer_events").collect().equals(store.scan(many, "customer_events").collect())


def test_many_pieces_of_an_entity_without_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [customer(external_id=f"c-{n % 400}", tags=[str(n % 2)]) for n in range(900)]
    one, many = tenant(tmp_path / "one"), tenant(tmp_path / "many")
    land(one, "customers", records)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 10_000)
    land(many, "customers", records)
    assert store.scan(one, "customers").collect().equals(store.scan(many, "customers").collect())


RECORDS = st.builds(
    event,
    external_id=st.sampled_from(["a", "b", "c", "", "x" * 200]),
    occurred_at=st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "soon", None]),
    value_minor=st.sampled_from([None, 1, 2, 2.5]),
    op=st.sampled_from([None, "upsert", "patch", "delete", "?"]),
)
LINES = st.one_of(RECORDS.map(json.dumps), st.sampled_from(["", "{", "[]", "null", '"text"', "{}"]))


@given(st.lists(st.lists(LINES, max_size=8), min_size=1, max_size=3), st.integers(0, 40))
def test_every_row_is_accounted_for(batches: list[list[str]], cut: int) -> None:
    with TemporaryDirectory() as folder:
        where = tenant(Path(folder))
        kept = 0
        for lines in batches:
            body = "".join(line + "\n" for line in lines).encode()
            body = body[: len(body) - cut] if cut < len(body) else body
            receipt = land(where, "customer_events", body)
            filled = [line for line in body.split(b"\n") if line.strip()]
            assert receipt.received == max(len(filled), 1)
            assert receipt.received == sum(counts(receipt)[1:])
            kept += receipt.accepted + receipt.superseded
        stored = store.scan(where, "customer_events").collect()
        assert stored.height == kept
        said: Any = stored.select("external_id", "op", "order_at", "value_minor", "patch_fields")
        assert said.unique().height == kept
        quarantined = pl.DataFrame(store.receipts(where, "customer_events"))["quarantined"].sum()
        assert store.quarantine(where, "customer_events").height == quarantined
