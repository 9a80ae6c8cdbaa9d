"""What waits for the vault comes back as it was, and cannot be read on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.landing import store, waiting
from tests.landing.support import counts, land, tenant


def test_pieces_come_back_in_order_and_are_not_readable_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MOST_BYTES", 20)
    path = tmp_path / "new" / "waiting"
    path.parent.mkdir()
    path.write_bytes(b"what a killed process left")
    held = waiting.Waiting(path)
    assert not held
    pieces = [b"ann@example.com %d" % i for i in range(5)]
    for piece in pieces:
        held.append(piece)
    assert held
    assert list(held) == list(held) == pieces
    assert path.stat().st_size > 4 * 16
    assert b"ann@" not in path.read_bytes()
    assert b"left" not in path.read_bytes()


def test_many_refused_rows_and_people_land_as_few_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = tenant(tmp_path / "few"), tenant(tmp_path / "many")
    good = [
        {"external_id": f"c{i}", "email": f"c{i}@example.com", "updated_at": f"2026-01-01T00:00:0{i}Z"}
        for i in range(9)
    ]
    records = [record for row in good for record in (row, {**row, "updated_at": "never"})]
    land(few, "customers", records)
    monkeypatch.setattr(waiting, "MOST_BYTES", 0)
    monkeypatch.setattr("pipelines.landing.pieces.PIECE_BYTES", 200)
    assert counts(land(many, "customers", records)) == (18, 9, 0, 0, 9)
    assert store.quarantine(many, "customers").equals(store.quarantine(few, "customers"))
    assert not list((many.landing / "customers").glob(".work*"))
