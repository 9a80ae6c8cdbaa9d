"""Dense ranks by a table of counts and by sorting, against a plain loop; few counts are large."""

from __future__ import annotations

import random

import numpy as np
import polars as pl
import pytest

from pipelines.signals.arrays import Products
from pipelines.signals.catalogue import signals
from pipelines.signals.measures.rank import ranks
from tests.conftest import make_workspace


@pytest.mark.parametrize("seed", range(8))
def test_ranks_equal_a_plain_loop(tmp_path, seed):
    chance = random.Random(seed)
    signal = signals(make_workspace(tmp_path, "UTC").tenant("acme"))["category_rank_views"]
    many = chance.choice([1, 7, 300])
    category = [chance.randrange(-1, 5) for _ in range(many)]
    count = [chance.choice([0, 1, 2, 3, 63, 64, 65, 2_000, 2_000_000_000_000]) for _ in range(many)]
    products = Products({"views_168h": 0})
    products.index(pl.Series([f"p{n:03d}" for n in range(many)]))
    products["views_168h"][:] = count
    ranked = [n for n in range(many) if count[n] > 0 and category[n] >= 0]
    expected = [0] * many
    for n in ranked:
        others = [count[m] for m in ranked if category[m] == category[n]]
        expected[n] = 1 + len({value for value in others if value > count[n]}) if len(others) >= 5 else 0
    assert ranks(products, np.array(category), signal).tolist() == expected
