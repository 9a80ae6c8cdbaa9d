"""Refused rows can be listed by reason, and replayed once the rules let them pass."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from pipelines.landing import layout, quarantine, store, times
from pipelines.landing.rules import rule_of
from tests.landing.support import NOW, counts, event, land, ndjson, tenant

BAD = [event(external_id=f"b-{n}", occurred_at="2026-01-02T10:00:00", timezone="Mars/Base") for n in range(2)]


def test_groups_count_reasons_with_an_example(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    land(where, "customer_events", [event(), *BAD, event(external_id=...)], "mixed.ndjson")
    land(where, "customers", b"", "empty.ndjson")
    groups = quarantine.grouped(quarantine.listed(where))
    assert groups.select("entity", "reason", "rows", "example_file", "example_line").rows() == [
        ("customer_events", "invalid_timezone:timezone", 2, "mixed.ndjson", 2),
        ("customer_events", "missing_required:external_id", 1, "mixed.ndjson", 4),
        ("customers", "empty_file", 1, "empty.ndjson", 0),
    ]
    assert groups.select("first_seen", "last_seen", "expired").rows() == [(NOW, NOW, 0)] * 3
    assert groups["fix"].to_list() == [rule_of(reason).fix for reason in groups["reason"]]
    assert quarantine.listed(where, "customers").height == 1
    assert quarantine.listed(where, reason="invalid_timezone").height == 2
    assert quarantine.listed(where, reason="missing_required:external_id")["line_no"].to_list() == [4]
    assert quarantine.listed(where, reason="missing_required:event_name").is_empty()
    mixed = quarantine.listed(where, "customer_events")["batch_id"][0]
    assert quarantine.listed(where, batch=mixed[:10]).height == 3


def test_replay_moves_what_passes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tenant(tmp_path)
    first = land(where, "customer_events", [event(), *BAD, event(external_id=...)])
    assert [o["moved"] for o in quarantine.replay(where, None, received_at=NOW)] == [0]
    monkeypatch.setattr(times, "known_zone", lambda name: True)
    monkeypatch.setattr(times, "ZoneInfo", lambda name: times.UTC)
    outcome = quarantine.replay(where, "customer_events", received_at=NOW)
    assert [(o["tried"], o["moved"], o["left"]) for o in outcome] == [(3, 2, 1)]
    assert store.scan(where, "customer_events").collect().height == 3
    assert store.find_receipt(where, "customer_events", first.batch_id) == first
    moved_to = store.find_receipt(where, "customer_events", outcome[0]["moved_to"])
    assert moved_to is not None
    assert counts(moved_to) == (2, 2, 0, 0, 0)
    again = quarantine.replay(where, "customer_events", received_at=NOW)
    assert [(o["tried"], o["moved"]) for o in again] == [(1, 0)]
    assert quarantine.listed(where)["reason"].to_list() == ["missing_required:external_id"]
    for receipt in store.receipts(where, "customer_events"):
        assert receipt["received"] == sum(receipt[n] for n in ("accepted", "duplicate", "superseded", "quarantined"))


def test_a_replay_that_died_before_its_marker_moves_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = tenant(tmp_path)
    land(where, "customer_events", BAD)
    monkeypatch.setattr(times, "known_zone", lambda name: True)
    monkeypatch.setattr(times, "ZoneInfo", lambda name: times.UTC)
    with monkeypatch.context() as patch:
        patch.setattr(quarantine, "write_bytes", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            quarantine.replay(where, None, received_at=NOW)
    assert [o["moved"] for o in quarantine.replay(where, None, received_at=NOW)] == [2]
    assert store.scan(where, "customer_events").collect().height == 2


def test_a_file_refused_whole_lands_once_it_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tenant(tmp_path)
    data = ndjson([event(), event(external_id="e-2")]).replace(b"\n", b"\r")
    first = land(where, "customer_events", data)
    assert first.file_reason == "cr_line_ends"
    assert [o["moved"] for o in quarantine.replay(where, None, received_at=NOW)] == [0]
    read = quarantine.payload_of_bytes
    monkeypatch.setattr(quarantine, "payload_of_bytes", lambda raw, name: read(raw.replace(b"\r", b"\n"), name))
    outcome = quarantine.replay(where, None, received_at=NOW)
    assert [(o["tried"], o["moved"], o["left"]) for o in outcome] == [(1, 1, 0)]
    moved = store.find_receipt(where, "customer_events", outcome[0]["moved_to"])
    assert moved is not None
    assert counts(moved) == (2, 2, 0, 0, 0)
    assert quarantine.replay(where, None, received_at=NOW) == []
    assert store.scan(where, "customer_events").collect().height == 2


@pytest.mark.parametrize("whole", [True, False])
def test_what_has_left_the_vault_is_told_as_expired(tmp_path: Path, whole: bool) -> None:
    where = tenant(tmp_path)
    receipt = land(where, "customer_events", b"" if whole else BAD)
    sealed = layout.sealed_raw if whole else partial(layout.sealed_quarantine, entity="customer_events")
    sealed(where, batch_id=receipt.batch_id).unlink()
    expected = 1 if whole else 2
    assert quarantine.grouped(quarantine.listed(where))["expired"].sum() == expected
    outcome = quarantine.replay(where, None, received_at=NOW)
    assert [(o["moved"], o["left"], o["expired"]) for o in outcome] == [(0, expected, expected)]


def test_two_replays_at_once_move_each_row_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tenant(tmp_path)
    land(where, "customer_events", BAD)
    monkeypatch.setattr(times, "known_zone", lambda name: True)
    monkeypatch.setattr(times, "ZoneInfo", lambda name: times.UTC)
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: quarantine.replay(where, None, received_at=NOW), range(2)))
    assert sum(outcome["moved"] for outcomes in done for outcome in outcomes) == 2
    assert store.scan(where, "customer_events").collect().height == 2
    assert sum(receipt["duplicate"] for receipt in store.receipts(where, "customer_events")) == 0


@pytest.mark.parametrize("ending", [".parquet", ".csv.gz", ".NDJSON"])
def test_a_file_named_by_a_contact_stops_no_replay(tmp_path: Path, ending: str) -> None:
    where = tenant(tmp_path)
    land(where, "customers", b"\xff\xfe\0\0", f"jane@example.com{ending}")
    (receipt,) = store.receipts(where, "customers")
    assert receipt["file"] == f"[email]{ending}"
    (outcome,) = quarantine.replay(where, "customers", received_at=NOW)
    assert (outcome["tried"], outcome["moved"]) == (1, 0)
