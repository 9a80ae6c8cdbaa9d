"""Runs of a sync against a destination that refuses, delays, forgets and dies."""

from __future__ import annotations

import asyncio

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.delivery.reverse_etl.acked import Acknowledged
from pipelines.delivery.reverse_etl.attempts import AttemptLog
from pipelines.delivery.reverse_etl.destination import Reply
from pipelines.delivery.reverse_etl.run import Sending
from tests.delivery.reverse_etl.remote import ACCEPTED, KilledError, Remote, around, desired, shown, sync

LATER = Reply("retry", "status_503", "busy", 503)
REFUSED = Reply("split", "status_422", "no", 422)
FORBIDDEN = Reply("pause", "status_401", "no", 401)


def once(folder, rows, remote, *, run_id="run", start=0, **settings):
    """One run; what it leaves, and how long it slept."""
    world, slept = around(run_id, start)
    sending = Sending(
        sync(**settings), Acknowledged(folder / "memory"), AttemptLog(folder / "attempts.ndjson"), remote, world
    )
    asyncio.run(sending.send(desired(rows)))
    return sending, slept


def test_only_what_differs_is_sent(tmp_path):
    remote = Remote()
    once(tmp_path, {"a": "1", "b": "1", "c": "1"}, remote)
    once(tmp_path, {"a": "1", "b": "2"}, remote, run_id="second")
    assert remote.rows == shown({"a": "1", "b": "2"})
    assert remote.batches[1][1] == ['["b"]', '["c"]']
    once(tmp_path, {"a": "1", "b": "2"}, remote, run_id="third")
    assert len(remote.batches) == 2


def test_poison_is_found_and_every_attempt_is_in_the_log(tmp_path):
    remote = Remote(lambda rows: REFUSED if any(row.row_key == '["c"]' for row in rows) else ACCEPTED)
    sending, _ = once(tmp_path, dict.fromkeys("abcdefgh", "1"), remote)
    assert remote.rows == shown(dict.fromkeys("abdefgh", "1"))
    assert sending.stopped is None
    attempts = sending.log.read()
    assert len(attempts) == sum(len(keys) for _, keys in remote.batches)
    bad = [each for each in attempts if each.row_key == '["c"]']
    assert [(each.attempt, each.status, each.error_code) for each in bad] == [
        (place, "rejected", "status_422") for place in range(1, 5)
    ]
    # The next run leaves it alone until its time has come, and another value is tried at once.
    once(tmp_path, dict.fromkeys("abcdefgh", "1"), remote, run_id="second", start=30)
    assert len(remote.batches) == 7
    once(tmp_path, dict.fromkeys("abcdefgh", "1"), remote, run_id="third", start=3600)
    assert len(remote.batches) == 8
    remote.answer = lambda rows: ACCEPTED
    once(tmp_path, {**dict.fromkeys("abdefgh", "1"), "c": "2"}, remote, run_id="fourth", start=3601)
    assert remote.rows == shown({**dict.fromkeys("abdefgh", "1"), "c": "2"})


def test_a_row_that_always_fails_is_parked(tmp_path):
    remote = Remote(lambda rows: REFUSED)
    for number in range(5):
        once(tmp_path, {"a": "1"}, remote, run_id=f"r{number}", start=number * 10**5, park_after=3)
    assert len(remote.batches) == 3


def test_patience_within_a_run_and_an_end_to_it(tmp_path):
    answers = iter([LATER, Reply("retry", "status_429", "slowly", 429, retry_after=30.0), ACCEPTED])
    sending, slept = once(tmp_path, {"a": "1"}, Remote(lambda rows: next(answers)))
    assert (slept, sending.stopped) == ([5.0, 30.0], None)
    assert [each.status for each in sending.log.read()] == ["rejected", "rejected", "succeeded"]
    remote = Remote(lambda rows: Reply("retry", "status_429", "tomorrow", 429, retry_after=86_400.0))
    sending, slept = once(tmp_path / "b", {"a": "1", "b": "1"}, remote, batch=1)
    assert (slept, sending.stopped, len(remote.batches)) == ([], "later", 1)


def test_what_had_no_answer_is_removed_when_the_model_has_it_no_more(tmp_path):
    def arrives_unheard(rows):
        for row in rows:
            remote._apply(row)
        return Reply("retry", "timeout", "no answer")

    remote = Remote(arrives_unheard)
    once(tmp_path, {"a": "1"}, remote)
    assert remote.rows == shown({"a": "1"})
    remote.answer = lambda rows: ACCEPTED
    once(tmp_path, {}, remote, run_id="second", start=10**5)
    assert remote.rows == {}


def test_credentials_that_end_in_the_middle_pause_the_sync_and_lose_nothing(tmp_path):
    answers = iter([ACCEPTED, FORBIDDEN])
    remote = Remote(lambda rows: next(answers))
    sending, _ = once(tmp_path, dict.fromkeys("abcd", "1"), remote, batch=1)
    assert (sending.stopped, remote.rows) == ("paused", shown({"a": "1"}))
    remote.answer = lambda rows: ACCEPTED
    once(tmp_path, dict.fromkeys("abcd", "1"), remote, run_id="second", batch=4)
    assert remote.batches[-1][1] == ['["b"]', '["c"]', '["d"]']


def test_rows_that_a_success_left_out_are_tried_again(tmp_path):
    remote = Remote(lambda rows: Reply("accepted", http_status=200, rejected={'["b"]': "unknown_field"}))
    sending, _ = once(tmp_path, {"a": "1", "b": "1"}, remote)
    assert remote.rows == shown({"a": "1"})
    assert [(each.status, each.error_code) for each in sending.log.read()] == [
        ("succeeded", None),
        ("rejected", "unknown_field"),
    ]
    remote.answer = lambda rows: ACCEPTED
    once(tmp_path, {"a": "1", "b": "1"}, remote, run_id="second", start=3600)
    assert remote.batches[-1][1] == ['["b"]']


def test_a_model_of_removals_removes_each_row_once(tmp_path):
    remote = Remote()
    remote.rows = shown({"a": "1", "b": "1"})
    for run_id in ("first", "second"):
        once(tmp_path, {"a": "1"}, remote, run_id=run_id, mode="delete")
    assert remote.rows == shown({"b": "1"})
    assert len(remote.batches) == 1


MODELS = st.lists(st.dictionaries(st.sampled_from("abcde"), st.sampled_from("12"), max_size=5), min_size=1, max_size=4)


@given(MODELS, st.randoms(use_true_random=False), st.integers(1, 3))
def test_whatever_fails_the_remote_comes_to_be_equal_with_one_log_row_an_attempt(
    tmp_path_factory, models, chance, batch
):
    folder = tmp_path_factory.mktemp("sync")

    def troubled(rows):
        luck = chance.random()
        if luck < 0.15:
            raise KilledError
        if luck < 0.3:
            for row in rows:
                remote._apply(row)
            raise KilledError
        return next(
            (
                reply
                for least, reply in ((0.6, ACCEPTED), (0.7, LATER), (0.8, REFUSED), (0.9, FORBIDDEN))
                if luck < least
            ),
            Reply("accepted", http_status=200, rejected={rows[0].row_key: "odd"}),
        )

    remote, number = Remote(troubled), 0
    for rows in models:
        for _ in range(chance.randrange(1, 4)):
            number += 1
            try:
                once(folder, rows, remote, run_id=f"r{number}", start=number * 10**6, batch=batch, park_after=10**6)
            except KilledError:
                continue
    remote.answer = lambda rows: ACCEPTED
    once(folder, models[-1], remote, run_id="last", start=(number + 1) * 10**6, batch=batch, park_after=10**6)
    assert remote.rows == shown(models[-1])
    logged = AttemptLog(folder / "attempts.ndjson").read()
    assert len(logged) == sum(len(keys) for _, keys in remote.batches)
    known = Acknowledged(folder / "memory").known()
    assert not known["uncertain"].any()
    assert known.filter(pl.col("acked_hash").is_null()).is_empty()


@pytest.mark.parametrize("cut", [1, 20])
def test_a_log_that_was_cut_keeps_every_whole_line(tmp_path, cut):
    sending, _ = once(tmp_path, {"a": "1"}, Remote())
    file = tmp_path / "attempts.ndjson"
    file.write_bytes(file.read_bytes()[:-cut])
    (left,) = sending.log.read()
    assert (left.status, left.error_code) == ("rejected", "no_answer")
    once(tmp_path, {"a": "2"}, Remote(), run_id="second")
    assert [each.run_id for each in sending.log.read()] == ["run", "second"]
