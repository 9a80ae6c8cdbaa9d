from __future__ import annotations

from datetime import timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipelines.delivery.event_log import difference, latest
from pipelines.storage.hashing import identifier
from schemas.tables import EVENT_LOG
from tests.delivery.receivers import DAY, NOON, transition, transitions

YESTERDAY = DAY - timedelta(days=1)
EMPTY = EVENT_LOG.empty()


def told_after(rows: list[pl.DataFrame], **options: object) -> pl.DataFrame:
    """The log after each state of the transitions was compared in turn."""
    log = EMPTY
    for number, frame in enumerate(rows):
        settings = {"newest": DAY, "detected_at": NOON + timedelta(hours=number), **options}
        log = log.vstack(difference(frame, log, **settings))  # type: ignore[arg-type]
    return log


def kinds(log: pl.DataFrame) -> list[tuple[str, int, str]]:
    return log.sort("detected_at").select("kind", "generation", "emission").rows()


def test_a_transition_of_the_newest_day_is_sent_once() -> None:
    frame = transitions(transition(1), transition(2, direction="exited"))
    log = told_after([frame, frame, frame])
    assert kinds(log.sort("kind")) == [("cohort.entered", 0, "sent"), ("cohort.exited", 0, "sent")]
    entered = log.filter(pl.col("kind") == "cohort.entered").row(0, named=True)
    assert entered["event_id"] == identifier("t1", "cohort.entered", "0")
    assert entered["detected_at"] == NOON


def test_an_older_day_is_withheld_as_backfill_unless_asked() -> None:
    frame = transitions(transition(1, day=YESTERDAY))
    assert told_after([frame]).select("emission", "withheld_because").rows() == [("withheld", "backfill")]
    assert told_after([frame], announce=True).select("emission", "withheld_because").rows() == [("sent", None)]


def test_what_was_sent_is_retracted_aloud_and_told_again_when_true_again() -> None:
    there, gone = transitions(transition(1)), transitions()
    log = told_after([there, gone, there, gone])
    assert kinds(log) == [
        ("cohort.entered", 0, "sent"),
        ("cohort.entry_retracted", 0, "sent"),
        ("cohort.entered", 1, "sent"),
        ("cohort.entry_retracted", 1, "sent"),
    ]
    assert log["event_id"].n_unique() == 4
    by_time = log.sort("detected_at")
    assert by_time["supersedes"].to_list() == [None, by_time["event_id"][0], None, by_time["event_id"][2]]
    assert f'"supersedes":"{by_time["event_id"][0]}"' in by_time["payload"][1]


def test_what_was_undone_aloud_is_told_again_even_when_its_day_is_no_longer_the_newest() -> None:
    there, gone = transitions(transition(1)), transitions()
    log = told_after([there, gone])
    again = difference(there, log, detected_at=NOON, newest=DAY + timedelta(days=3))
    assert again.select("generation", "emission").rows() == [(1, "sent")]


def test_what_was_withheld_is_taken_back_in_silence() -> None:
    log = told_after([transitions(transition(1, day=YESTERDAY)), transitions()])
    assert kinds(log) == [("cohort.entered", 0, "withheld"), ("cohort.entry_retracted", 0, "withheld")]
    assert log["withheld_because"].to_list() == ["backfill", "backfill"]


def test_an_exit_is_retracted_as_an_exit() -> None:
    log = told_after([transitions(transition(1, direction="exited")), transitions()])
    assert [kind for kind, _, _ in kinds(log)] == ["cohort.exited", "cohort.exit_retracted"]


def test_too_old_for_the_cohort_is_withheld() -> None:
    frame = transitions(transition(1), transition(2, cohort_id="lapsed_shopper"))
    ages = {"high_value_cart_abandoner": timedelta(hours=1)}
    log = told_after([frame], max_age=ages, detected_at=NOON + timedelta(hours=2))
    outcome = dict(log.select("cohort_id", "withheld_because").rows())
    assert outcome == {"high_value_cart_abandoner": "too_old", "lapsed_shopper": None}


def test_what_a_changed_definition_caused_is_withheld() -> None:
    frame = transitions(transition(1, caused_by="definition"), transition(2))
    log = told_after([frame, transitions()], announce=True)
    first = log.filter(pl.col("supersedes").is_null()).sort("transition_id")
    assert first.select("emission", "withheld_because").rows() == [("withheld", "definition"), ("sent", None)]
    retracted = log.filter(pl.col("supersedes").is_not_null()).sort("transition_id")
    assert retracted["emission"].to_list() == ["withheld", "sent"]


def test_a_change_of_definitions_is_sent_where_it_is_announced() -> None:
    frame = transitions(
        transition(1, caused_by="definition"), transition(2, caused_by="definition", cohort_id="affinity:shoes")
    )
    assert told_after([frame], announced=["affinity"]).sort("transition_id")["emission"].to_list() == [
        "withheld",
        "sent",
    ]


def test_what_another_version_told_is_taken_back_in_silence_and_so_is_what_replaces_it() -> None:
    old = transitions(transition(1, definition_version="a"), transition(2, definition_version="a"))
    new = transitions(transition(2, definition_version="b"), transition(3, definition_version="b"))
    other = transitions(transition(4, definition_version="c", cohort_id="lapsed_shopper"))
    log = told_after([old])
    rows = difference(pl.concat([new, other]), log, detected_at=NOON, newest=DAY, active=["b", "c"])
    outcome = rows.sort("transition_id").select("transition_id", "emission", "withheld_because").rows()
    assert outcome == [("t1", "withheld", "definition"), ("t3", "withheld", "definition"), ("t4", "sent", None)]
    assert difference(pl.concat([new, other]), log.vstack(rows), detected_at=NOON, newest=DAY).is_empty()


def test_two_versions_of_a_definition_tell_a_transition_once() -> None:
    frame = transitions(transition(1), transition(1, definition_version="2"))
    assert told_after([frame]).height == 1


universe = st.lists(st.sets(st.integers(0, 7)), min_size=1, max_size=6)


def frame_of(indices: set[int], order: int = 1) -> pl.DataFrame:
    """Even transitions are entries of today, odd ones exits of yesterday."""
    rows = [
        transition(i, direction="exited" if i % 2 else "entered", day=YESTERDAY if i % 2 else DAY)
        for i in sorted(indices, reverse=order < 0)
    ]
    return transitions(*rows)


@given(universe)
def test_the_fold_of_the_log_always_equals_the_transitions(history: list[set[int]]) -> None:
    log = EMPTY
    for state in history:
        log = log.vstack(difference(frame_of(state), log, detected_at=NOON, newest=DAY))
        told = latest(log)
        assert set(told.filter(pl.col("is_true"))["transition_id"]) == {f"t{i}" for i in state}
        assert difference(frame_of(state), log, detected_at=NOON, newest=DAY).is_empty()
    assert log["event_id"].is_unique().all()


@given(universe)
def test_a_retraction_is_sent_exactly_if_its_original_was(history: list[set[int]]) -> None:
    log = told_after([frame_of(state) for state in history])
    emission = dict(log.select("event_id", "emission").rows())
    taken_back = log.filter(pl.col("supersedes").is_not_null())
    assert all(emission[original] == mode for original, mode in taken_back.select("supersedes", "emission").iter_rows())


@given(st.sets(st.integers(0, 7)), st.sets(st.integers(0, 7)))
def test_the_order_of_rows_does_not_matter(first: set[int], second: set[int]) -> None:
    forward = told_after([frame_of(first), frame_of(second)])
    backward = told_after([frame_of(first, -1), frame_of(second, -1)])
    assert forward.sort("event_id").equals(backward.sort("event_id"))
