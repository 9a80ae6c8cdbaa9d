"""A run that dies at any write leaves nothing that readers trust, and running again finishes the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.landing import ingest, spool, store, vault
from tests.landing.support import counts, customer, land, tenant

RECORDS = [customer(external_id=f"c-{n}", email="ann@example.com") for n in range(3)] + [customer(updated_at="never")]


class Killed(BaseException):
    pass


def dying(function: Any, at: int) -> Any:
    calls = 0

    def called(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise Killed
        return function(*args, **options)

    return called


@pytest.mark.parametrize(
    ("where_it_dies", "name", "at"),
    [
        (vault, "seal", 1),
        (vault, "seal", 2),
        (vault, "seal", 3),
        (ingest, "quarantine_rows", 1),
        (spool.Spool, "write", 1),
        (ingest, "_receipt", 1),
        (ingest, "create_bytes", 1),
    ],
)
def test_dying_leaves_nothing_visible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where_it_dies: Any, name: str, at: int
) -> None:
    killed, whole = tenant(tmp_path / "killed"), tenant(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(where_it_dies, name, dying(getattr(where_it_dies, name), at))
        with pytest.raises(Killed):
            land(killed, "customers", RECORDS)
    assert store.receipts(killed, "customers") == []
    assert store.scan(killed, "customers").collect().height == 0
    assert store.quarantine(killed, "customers").height == 0
    assert counts(land(killed, "customers", RECORDS)) == (4, 3, 0, 0, 1)
    land(whole, "customers", RECORDS)
    drop = "contact_hash"
    again, expected = (store.scan(t, "customers").drop(drop).collect() for t in (killed, whole))
    assert again.equals(expected)
    names = lambda t: {path.name for path in t.landing.rglob("*")}  # noqa: E731
    assert names(killed) == names(whole)


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    folder = where.landing / "customers"
    (folder / ".work").mkdir(parents=True)
    (folder / ".work" / "0.arrow").write_bytes(b"left over")
    (folder / ".x.parquet.0.tmp").write_bytes(b"left over")
    (folder / "0.parquet").write_bytes(b"a split file without a receipt")
    land(where, "customers", RECORDS)
    assert not (folder / ".work").exists()
    assert not (folder / ".x.parquet.0.tmp").exists()
    assert store.scan(where, "customers").collect().height == 3
