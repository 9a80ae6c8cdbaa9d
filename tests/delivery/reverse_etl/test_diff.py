"""What is sent: the difference between what is wanted and what was acknowledged, in each mode."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.delivery.reverse_etl import diff as difference
from pipelines.delivery.reverse_etl.acked import Acknowledged, Outcome
from pipelines.delivery.reverse_etl.diff import KNOWN, diff, fields, payload_hash
from pipelines.delivery.reverse_etl.model import DESIRED
from pipelines.storage.hashing import subject_key

NOW = 1_000


def desired(rows):
    return pl.DataFrame(list(rows.items()), schema=DESIRED, orient="row")


def known(rows):
    """Acknowledged values by key; None for a row that only failed."""
    listed = [(key, value and f"h{value}", value, None, 0, None, False) for key, value in rows.items()]
    return pl.DataFrame(listed, schema=KNOWN, orient="row")


def ops(found):
    return dict(found.rows.select("row_key", "op").iter_rows())


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("upsert", {"new": "added", "other": "changed"}),
        ("update", {"new": "added", "other": "changed"}),
        ("insert", {"new": "added"}),
        ("append", {"new": "added", "other": "changed"}),
        ("mirror", {"new": "added", "other": "changed", "gone": "removed"}),
        ("delete", {"new": "removed"}),
    ],
)
def test_each_mode_sends_its_operations(mode, expected):
    wanted = desired({"new": "1", "other": "2", "same": "3"})
    found = diff(wanted, known({"other": "1", "same": "3", "gone": "4"}), mode, NOW, 3)
    assert ops(found) == expected
    assert found.rows["row_key"].to_list() == sorted(expected)
    assert found.unchanged == 4 - len(expected)


def hashed(payload):
    return pl.DataFrame({"payload": [payload]}).select(payload_hash()).item()


def failed(hashed, failures, next_retry_at=None):
    row = ("k", "h0", "0", hashed, failures, next_retry_at, False)
    return pl.DataFrame([row], schema=KNOWN, orient="row")


def test_a_row_that_failed_waits_its_time_and_is_parked_until_it_changes():
    wanted = desired({"k": "1"})
    assert ops(diff(wanted, failed(hashed("1"), 1, NOW), "upsert", NOW, 3)) == {"k": "changed"}
    assert ops(diff(wanted, failed(hashed("1"), 1, NOW + 1), "upsert", NOW, 3)) == {"k": "waiting"}
    assert ops(diff(wanted, failed(hashed("1"), 3, NOW), "upsert", NOW, 3)) == {"k": "parked"}
    assert ops(diff(desired({"k": "2"}), failed(hashed("1"), 3, NOW + 1), "upsert", NOW, 3)) == {"k": "changed"}


def test_a_removal_that_failed_is_tried_again():
    nothing = desired({})
    assert ops(diff(nothing, failed(None, 1, NOW), "mirror", NOW, 3)) == {"k": "removed"}
    assert ops(diff(nothing, failed(None, 3, NOW), "mirror", NOW, 3)) == {"k": "parked"}


@pytest.mark.parametrize(("mode", "op"), [("mirror", {"left": "removed"}), ("upsert", {})])
def test_what_was_sent_without_an_answer_is_sent_again(mode, op):
    unknown = known({"back": "1", "left": None}).with_columns(uncertain=True)
    found = diff(desired({"back": "1"}), unknown, mode, NOW, 3)
    assert ops(found) == {"back": "changed", **op}


@pytest.mark.parametrize("code", [lambda row: 1, lambda row: ord(row[0]) % 2])
def test_keys_that_share_a_number_are_told_apart(monkeypatch, code):
    wanted, there = desired({"a": "1", "b": "2", "d": "4"}), known({"a": "1", "b": "1", "c": "3"})
    expected = diff(wanted, there, "mirror", NOW, 3)

    def coded(column):
        keys = pl.col(column).map_elements(code, return_dtype=pl.Int64).alias("code")
        return keys if column == "row_key" else subject_key(column).alias("code")

    monkeypatch.setattr(difference, "_code", coded)
    assert ops(diff(wanted, there, "mirror", NOW, 3)) == ops(expected)
    lonely = diff(desired({"d": "4"}), known({"b": "3"}), "mirror", NOW, 3)
    assert ops(lonely) == {"b": "removed", "d": "added"}


def test_fields_that_differ():
    assert fields('{"a":1,"b":"x"}', '{"a":1,"b":"y","c":null}') == {"b": ("y", "x")}
    assert fields('{"a":1}', None) == {"a": (None, 1)}
    assert fields(None, '{"a":1}') == {"a": (1, None)}


ROWS = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("123"), max_size=6)


@given(st.lists(ROWS, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_a_mirror_that_is_acknowledged_in_part_comes_to_be_equal(tmp_path_factory, models, chance):
    memory = Acknowledged(tmp_path_factory.mktemp("sync"))
    remote = {}
    for rows in [*models, models[-1]]:
        last = rows is models[-1]
        while True:
            found = diff(desired(rows), memory.known(), "mirror", NOW, 10**6)
            todo = found.due().to_dicts()
            if not todo:
                break
            # Some of a batch arrive, and of those some are not acknowledged before a kill.
            acked = {row["row_key"]: row for row in memory.known().to_dicts()}
            for row in todo:
                before = {**acked.get(row["row_key"], {"row_key": row["row_key"]}), "uncertain": True}
                memory.tell([Outcome(**before)])
                if chance.random() < 0.6:
                    if row["op"] == "removed":
                        remote.pop(row["row_key"], None)
                    else:
                        remote[row["row_key"]] = row["payload"]
                    if chance.random() < 0.7:
                        done = Outcome(row["row_key"], row["payload_hash"], row["payload"], gone=row["op"] == "removed")
                        memory.tell([done])
            if chance.random() < 0.3:
                memory.compact()
            if not last and chance.random() < 0.5:
                break
    assert remote == models[-1]
    assert diff(desired(models[-1]), memory.known(), "mirror", NOW, 3).counts()["unchanged"] == len(remote)


def test_a_journal_that_was_cut_keeps_every_whole_line(tmp_path):
    memory = Acknowledged(tmp_path)
    memory.tell([Outcome("a", "h1", "\u2028"), Outcome("b", "h2", "2")])
    journal = tmp_path / "journal.ndjson"
    journal.write_bytes(journal.read_bytes()[:-3])
    assert memory.known()["row_key"].to_list() == ["a"]
    memory.tell([Outcome("c", "h3", "3")])
    memory.compact()
    assert memory.known().select("row_key", "acked_payload").rows() == [("a", "\u2028"), ("c", "3")]
    assert not journal.exists()
