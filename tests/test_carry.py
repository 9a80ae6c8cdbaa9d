"""A walk over days recomputes what a correction changes, and no more."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.calendar import days_between
from pipelines.carry import Trail

DAYS = days_between(date(2026, 3, 1), date(2026, 3, 20))
EMPTY = {"sum": pl.DataFrame({"n": [0]})}
CAP = 5


def run(folder: Path, values: list[int], wanted, tail=()):
    """States are running sums that stop at ``CAP``; a result is the state before and after a day."""
    trail = Trail(folder, {day: str(value) for day, value in zip(DAYS, values, strict=True)}, EMPTY)
    state, published, computed = -1, {}, []
    for turn in trail.walk(wanted, tail):
        if turn.begin:
            state = 0
        if turn.load:
            state = trail.load(turn.load, "sum")["n"].item()
        before, state = state, min(state + values[DAYS.index(turn.day)], CAP)
        trail.made(turn.day, {"sum": pl.DataFrame({"n": [state]})})
        computed.append(turn.day)
        if turn.publish:
            published[turn.day] = (before, state)
    return published, computed


def straight(values: list[int]):
    state, found = 0, {}
    for day, value in zip(DAYS, values, strict=True):
        before, state = state, min(state + value, CAP)
        found[day] = (before, state)
    return found


def test_it_stops_where_the_state_is_what_it_was(tmp_path):
    values = [1] * 20
    run(tmp_path, values, DAYS)
    values[1] = 2
    published, computed = run(tmp_path, values, [DAYS[1]], DAYS)
    # The sum reaches its cap on the fourth day instead of the fifth, and is the same from there on.
    assert list(published) == DAYS[1:5]
    assert computed == DAYS[1:5]


def test_days_in_between_are_passed_over_with_a_stored_state(tmp_path):
    values = [1] * 20
    run(tmp_path, values, DAYS)
    values[0] = values[17] = 9
    published, computed = run(tmp_path, values, [DAYS[0], DAYS[17]], DAYS)
    assert [day for day in published if day > DAYS[5]] == [DAYS[17]]
    assert not {day for day in computed if DAYS[5] < day < DAYS[10]}


def test_a_day_outside_the_tail_is_left_and_found_by_the_next_run(tmp_path):
    values = [1, 1, *[0] * 18]
    run(tmp_path, values, DAYS)
    values[0] = 3
    assert list(run(tmp_path, values, [DAYS[0]])[0]) == [DAYS[0]]
    published, _ = run(tmp_path, values, [DAYS[1]], DAYS)
    assert published == {day: state for day, state in straight(values).items() if day > DAYS[0]}


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=20, max_size=20), min_size=2, max_size=4),
    st.sampled_from([None, "states", "links"]),
)
def test_any_corrections_give_what_a_computation_from_the_first_day_gives(tmp_path_factory, versions, lost):
    folder = tmp_path_factory.mktemp("trail")
    told, before = {}, None
    for values in versions:
        changed = [day for i, day in enumerate(DAYS) if before is None or before[i] != values[i]]
        published, _ = run(folder, values, changed, DAYS) if changed else ({}, [])
        told |= published
        assert told == straight(values)
        before = values
        for file in folder.glob("*.arrow" if lost == "states" else "links.json" if lost == "links" else "nothing"):
            file.unlink()


@pytest.mark.parametrize("values", [[0] * 20, [0, 0, 1, *[0] * 17]])
def test_the_empty_state_has_no_hash(tmp_path, values):
    run(tmp_path, values, DAYS)
    trail = Trail(tmp_path, {}, EMPTY)
    assert [link.after for link in trail.links.values() if link.after == ""] == [""] * [*values, 1].index(1)
