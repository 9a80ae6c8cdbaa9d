"""Ids that stand twice are found whatever range of keys they fall in."""

from __future__ import annotations

from unittest.mock import patch

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipelines.landing import repeats

ENDS = [-(1 << 63), -(1 << 60) - 1, -(1 << 60), -1, 0, (1 << 60) - 1, 1 << 60, (1 << 63) - 1]


@given(st.lists(st.sampled_from(ENDS) | st.integers(-3, 3)))
def test_many_keys_are_compared_as_few(keys: list[int]) -> None:
    column = pl.Series("id_key", keys, dtype=pl.Int64)
    with patch("pipelines.landing.repeats.ROWS_AT_ONCE", 0):
        found = repeats._twice(column)
    assert found.dtype == pl.Int64
    assert set(found) == {key for key in keys if keys.count(key) > 1}
