"""State of day rules: what is stored is the same whatever numbers things have, and goes on as if never stored."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.cohorts.daily import state as states
from pipelines.cohorts.daily.space import pair_codes
from pipelines.cohorts.daily.state import State
from pipelines.cohorts.daily.totals import EVER, Total

COUNT = Total("count", "view", "", (), EVER, "")
SHARE = Total("count", "view", "", (), EVER, "category")
SEEN = Total("distinct", "view", "product_id", (), 7, "")
SEEN_IN = Total("distinct", "view", "product_id", (), 7, "category")
TOTALS = [COUNT, SEEN, SEEN_IN, SHARE]
VIEWS = [
    ("v2", "shoes", "p9"),
    ("v1", "hats", "p1"),
    ("v2", "hats", "p9"),
    ("v3", "shoes", "p2"),
    ("v2", "shoes", "p2"),
]


def empty() -> State:
    state = State()
    state.have(TOTALS)
    return state


def count(state: State, views: list[tuple[str, str, str]], sign: int) -> None:
    for subject, category, product in views:
        owner = state.subjects.of(pl.Series([subject]))
        key = state.values["category"].of(pl.Series([category]))
        value = state.values["product_id"].of(pl.Series([product]))
        pair = state.families["category"].number(pair_codes(owner, key))
        signs = np.array([sign])
        np.add.at(state.subjects[COUNT.name], owner, signs)
        np.add.at(state.families["category"][SHARE.name], pair, signs)
        for total, base, space in (
            (SEEN, owner, state.subjects),
            (SEEN_IN, pair, state.families["category"]),
        ):
            moved, differs = state.distinct[total.name].add(pair_codes(base, value), signs)
            np.add.at(space[total.name], moved, differs)


def same(one: State, other: State) -> None:
    left, right = one.stored(), other.stored()
    assert left.keys() == right.keys()
    for name in left:
        assert_frame_equal(left[name], right[name])


def test_numbers_do_not_show():
    one, other = empty(), empty()
    count(one, VIEWS, 1)
    count(other, VIEWS[::-1], 1)
    same(one, other)
    assert one.stored()["values-product_id"]["value"].to_list() == ["p1", "p2", "p9"]


def test_a_stored_state_goes_on_like_one_that_was_not():
    here, again = empty(), empty()
    count(here, VIEWS, 1)
    again.restore(here.stored())
    same(here, again)
    for state in (here, again):
        count(state, VIEWS[:2], -1)
        count(state, [("v4", "coats", "p0")], 1)
    same(here, again)


def test_pruning_shows_in_nothing_that_is_stored(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(states, "_FEW", 0)
    pruned, kept = empty(), empty()
    more = [(f"v{n}", "shoes", f"q{n}") for n in range(20)]
    for state in (pruned, kept):
        count(state, VIEWS + more, 1)
        count(state, more, -1)
    pruned.prune()
    assert pruned.values["product_id"].height < 6 < kept.values["product_id"].height
    same(pruned, kept)
    for state in (pruned, kept):
        count(state, VIEWS + more[:3], 1)
    same(pruned, kept)
