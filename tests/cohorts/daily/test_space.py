"""Numbers for ids, their order, and counts of pairs, against plain Python."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cohorts.daily.space import Names, Pairs, Space, pair_codes, parts

IDS = st.lists(st.text("abc", min_size=1, max_size=3), max_size=12)


@given(st.lists(IDS, max_size=4))
def test_strings_keep_their_numbers_and_rank_in_order(batches):
    names, known = Names(), {}
    for batch in batches:
        numbers = names.of(pl.Series(batch, dtype=pl.String))
        for name, number in zip(batch, numbers.tolist(), strict=True):
            assert known.setdefault(name, number) == number
        assert sorted(known, key=known.get) == names.ids.to_list()
        rank = names.rank()
        assert sorted(known) == sorted(known, key=lambda name: rank[known[name]])


@given(st.lists(IDS, max_size=3), st.sets(st.text("abc", min_size=1, max_size=3)))
def test_what_is_let_go_of_is_new_when_it_comes_again(batches, gone):
    names = Names()
    for batch in batches:
        names.of(pl.Series(batch, dtype=pl.String))
        names.rank()
    left = [name for name in names.ids.to_list() if name not in gone]
    names.keep(np.array([name not in gone for name in names.ids.to_list()], dtype=np.bool_))
    assert names.ids.to_list() == left
    again = sorted(gone) + left
    numbers = names.of(pl.Series(again, dtype=pl.String))
    assert names.ids.gather(numbers).to_list() == again
    assert np.argsort(names.rank()).tolist() == np.argsort(np.array(names.ids.to_list(), dtype=object)).tolist()


@given(st.lists(st.lists(st.integers(-(2**40), 2**40), max_size=20), max_size=4))
def test_codes_are_numbered_once_and_columns_grow_with_them(batches):
    space, known = Space(), {}
    space.column("value", 7)
    for batch in batches:
        numbers = space.number(np.array(batch, dtype=np.int64))
        for code, number in zip(batch, numbers.tolist(), strict=True):
            assert known.setdefault(code, number) == number
            assert space.codes[number] == code
    assert space.height == len(known)
    assert space["value"].tolist() == [7] * len(known)


PAIR = st.tuples(st.integers(0, 3), st.integers(0, 3))


@given(st.lists(st.tuples(st.lists(PAIR, max_size=12), st.lists(st.integers(0, 30), max_size=12)), max_size=6))
def test_pairs_tell_which_began_and_ceased_to_count(steps):
    """Rows come, and rows that came before go again."""
    pairs, here = Pairs(), []
    for came, chosen in steps:
        went = [here.pop(place % len(here)) for place in chosen if here]
        before = Counter(here) + Counter(went)
        here += came
        after = Counter(here)
        rows = np.array(came + went, dtype=np.int64).reshape(-1, 2)
        signs = np.array([1] * len(came) + [-1] * len(went), dtype=np.int64)
        firsts, differs = pairs.add(pair_codes(rows[:, 0], rows[:, 1]), signs)
        expected: Counter[int] = Counter()
        for pair in {*before, *after}:
            expected[pair[0]] += (after[pair] > 0) - (before[pair] > 0)
        told: Counter[int] = Counter()
        for first, differ in zip(firsts.tolist(), differs.tolist(), strict=True):
            told[first] += differ
        assert {key: n for key, n in told.items() if n} == {key: n for key, n in expected.items() if n}
        counting = pairs.rows > 0
        first, second = parts(pairs.codes[counting])
        assert dict(zip(zip(first.tolist(), second.tolist(), strict=True), pairs.rows[counting], strict=True)) == after
        assert (np.diff(pairs.codes) > 0).all()
