"""Erasing and landing at once: whatever is about to be committed knows of the erasure, or the erasure knows of it."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as finished
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.config import Tenant
from pipelines.landing import erasure, layout, locks, messages, retention
from pipelines.landing.store import Receipt
from schemas.entities import ENTITIES
from tests.landing.support import NOW, customer, event, land, rows, tenant

ANN = customer(email="ann@example.com", phone="+44 7700 900123")
GONE = customer(updated_at="2026-02-01T00:00:00Z", status="erased")
STOP = {
    "external_id": "o-1",
    "occurred_at": "2026-01-03T00:00:00Z",
    "channel": "all",
    "scope": "all",
    "action": "opt_out",
    "reason": "agent",
}


class Paused:
    """The last moment before a batch of an entity is committed: it waits there until it is told to go on."""

    def __init__(self, entity: str, keep: Any) -> None:
        self._entity, self._keep = entity, keep
        self.reached, self.go_on = threading.Event(), threading.Event()

    def __call__(self, where: Tenant, entity: Any, *rest: Any) -> Any:
        if entity.name == self._entity:
            self.reached.set()
            assert self.go_on.wait(20)
        return self._keep(where, entity, *rest)


def at_once(
    where: Tenant,
    monkeypatch: pytest.MonkeyPatch,
    first: tuple[str, Any],
    then: tuple[str, Any],
    seconds: float = 0.5,
) -> tuple[bool, list[Receipt]]:
    """Land the first up to its commit, then the other; whether the other waited for it, so long."""
    paused = Paused(first[0], messages.keep)
    monkeypatch.setattr(messages, "keep", paused)
    with ThreadPoolExecutor(2) as pool:
        one: Future[Receipt] = pool.submit(land, where, first[0], [first[1]], "first.ndjson")
        assert paused.reached.wait(20)
        other = pool.submit(land, where, then[0], [then[1]], "then.ndjson")
        waited = not finished([other], timeout=seconds).done
        paused.go_on.set()
        return waited, [one.result(20), other.result(20)]


@pytest.mark.parametrize("contact", ["ann@example.com", "+447700900123"])
def test_an_opt_out_that_lands_while_its_customer_is_erased_keeps_no_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contact: str
) -> None:
    where = tenant(tmp_path)
    land(where, "customers", [ANN])
    waited, _ = at_once(where, monkeypatch, ("opt_outs", {**STOP, "contact": contact}), ("customers", GONE))
    assert waited
    found = rows(where, "opt_outs")
    assert [(each["customer_id"], each["contact_hash"]) for each in found] == [("c-1", None)]


def test_an_opt_out_does_not_land_between_an_erasure_and_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = tenant(tmp_path)
    land(where, "customers", [ANN])
    both = {**STOP, "customer_id": "c-1", "contact": "ann@example.com"}
    waited, _ = at_once(where, monkeypatch, ("customers", GONE), ("opt_outs", both))
    assert waited
    assert [each["contact_hash"] for each in rows(where, "opt_outs")] == [None]


def test_customers_who_are_not_erased_wait_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tenant(tmp_path)
    waited, receipts = at_once(where, monkeypatch, ("customer_events", event()), ("customers", ANN), seconds=20)
    assert not waited
    assert [receipt.accepted for receipt in receipts] == [1, 1]


def test_erasures_and_opt_outs_of_the_erased_both_find_their_place_in_the_audit(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: erasure.append_audit(where, {"n": n}), range(40)))
    assert len(erasure.audit_file(where).read_bytes().splitlines()) == 40


def test_a_purge_waits_for_an_erasure(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    receipt = land(where, "customers", [ANN])
    later = NOW + timedelta(days=where.config.raw_retention_days + 1)
    with ThreadPoolExecutor(1) as pool:
        with locks.alone(where, ENTITIES["customers"]):
            purging = pool.submit(retention.purge, where, later)
            assert not finished([purging], timeout=0.5).done
            assert layout.sealed_raw(where, receipt.batch_id).exists()
        assert purging.result(20)["raw"] == 1


def test_two_erasures_at_once_and_landing_of_everything_come_to_an_end(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    land(where, "customers", [ANN, customer(external_id="c-2")])
    with ThreadPoolExecutor(6) as pool:
        work = [pool.submit(land, where, "customers", [{**GONE, "external_id": f"c-{n}"}]) for n in (1, 2)]
        work += [
            pool.submit(land, where, "opt_outs", [{**STOP, "external_id": f"o-{n}", "contact": "x@example.com"}])
            for n in range(3)
        ]
        work += [pool.submit(land, where, "customer_events", [event(external_id=f"e-{n}")]) for n in range(3)]
        with locks.everything(where):
            assert not [path for path in where.landing.glob("*/.work/*")]
        assert sum(each.result(30).accepted for each in work) == 8
