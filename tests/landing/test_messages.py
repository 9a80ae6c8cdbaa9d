"""One message id with two contents is counted, whatever the order in which they come, and changes no table."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from pipelines.entities import accounts
from pipelines.entities.ledgers import batches
from pipelines.entities.steps import STEPS
from pipelines.landing import pieces, store
from tests.landing.support import customer, event, land, tenant

A = event(external_id="a", message_id="m-1")
#: The content of A under another message id: a duplicate, whose message id counts all the same.
A_AGAIN = event(external_id="a", message_id="m-2")
B = event(external_id="b", message_id="m-2", value_minor=3)
C = event(external_id="b", message_id="m-2", value_minor=4)
SILENT = event(external_id="x")


def test_a_file_counts_each_other_content_once(tmp_path: Path) -> None:
    receipt = land(tenant(tmp_path), "customer_events", [A, SILENT, A_AGAIN, B, C, B, A])
    assert (receipt.duplicate, receipt.conflicting_messages) == (3, 2)


def test_every_split_into_batches_counts_the_same(tmp_path: Path) -> None:
    for number, order in enumerate(permutations([A, A_AGAIN, B, C])):
        where = tenant(tmp_path / str(number))
        receipts = [land(where, "customer_events", [row]) for row in order]
        assert sum(receipt.conflicting_messages for receipt in receipts) == 2
        assert land(where, "customer_events", [order[0]]).conflicting_messages == 0


def test_the_check_says_how_many_by_entity(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    land(where, "customer_events", [A, B])
    ledgers = next(step for step in STEPS if step.name == "ledgers")
    for step in STEPS:
        step.run(where, [])
    assert accounts.messages_agree(where, []).passed
    land(where, "customer_events", [C])
    # An entity has its own message ids.
    land(where, "customers", [customer(message_id="m-1")])
    ledgers.run(where, [])
    told = accounts.messages_agree(where, [])
    assert (told.passed, told.blocking, told.evidence) == (False, False, {"conflicting": 1, "customer_events": 1})
    assert batches(where)["conflicting_messages"].sum() == 1


def test_rows_and_their_counts_stay_as_they_are_without_message_ids(tmp_path: Path) -> None:
    with_ids, without = tenant(tmp_path / "with"), tenant(tmp_path / "without")
    records = [A, A_AGAIN, B, C]
    one = land(with_ids, "customer_events", records)
    other = land(without, "customer_events", [{k: v for k, v in r.items() if k != "message_id"} for r in records])
    assert one.partitions == other.partitions
    frames = [store.scan(where, "customer_events").collect() for where in (with_ids, without)]
    assert frames[0].equals(frames[1])


def test_a_refused_row_and_an_empty_id_say_nothing(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    receipt = land(where, "customer_events", [A, {**B, "message_id": "m-1", "channel": "pigeon"}])
    assert (receipt.quarantined, receipt.conflicting_messages) == (1, 0)


def test_many_pieces_count_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [event(external_id=f"e-{n}", message_id=f"m-{n % 50}") for n in range(400)]
    monkeypatch.setattr(pieces, "PIECE_BYTES", 5_000)
    assert land(tenant(tmp_path), "customer_events", records).conflicting_messages == 350
