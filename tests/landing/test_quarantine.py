"""Refused rows can be listed by reason, and replayed once the rules let them pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.landing import quarantine, store, times
from tests.landing.support import NOW, counts, event, land, tenant

BAD = [event(external_id=f"b-{n}", occurred_at="2026-01-02T10:00:00", timezone="Mars/Base") for n in range(2)]


def test_groups_count_reasons_with_an_example(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    land(where, "customer_events", [event(), *BAD, event(external_id=...)], "mixed.ndjson")
    land(where, "customers", b"", "empty.ndjson")
    assert quarantine.grouped(where).rows() == [
        ("customer_events", "invalid_timezone:timezone", 2, "mixed.ndjson", 2),
        ("customer_events", "missing_required:external_id", 1, "mixed.ndjson", 4),
        ("customers", "empty_file", 1, "empty.ndjson", 0),
    ]
    assert quarantine.grouped(where, "customers").height == 1


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
    assert quarantine.grouped(where)["rows"].to_list() == [1]


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
