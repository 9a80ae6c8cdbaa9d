"""Momentum at its bounds, and its cooldown."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pipelines.signals.arrays import Products
from pipelines.signals.catalogue import SHIPPED, Signal, signals
from pipelines.signals.machine import Moves
from pipelines.signals.measures import momentum
from pipelines.signals.state import defaults
from pipelines.signals.units import HOUR

NOW = 2000


@pytest.fixture
def signal(tenant) -> Signal:
    return signals(tenant)["momentum"]


def product(recent, before, days=28):
    products = Products(defaults({}))
    products.index(pl.Series(["p"]))
    products["views_24h"][:] = recent
    products["views_696h"][:] = recent + before
    products["first_seen"][:] = (NOW - 24 * (days + 1)) * HOUR
    return products


def state_after(products, signal, hour=NOW):
    moves = momentum.step(products, signal, hour, momentum.level(products, hour, 0, 7))
    return momentum.codes(signal).get(int(products["momentum_state"][0])), moves


@pytest.mark.parametrize(
    ("recent", "before", "expected"),
    [
        (11, 252, "rising"),  # 12 / 10: exactly at the bound
        (10, 252, "steady"),  # 11 / 10
        (7, 252, "steady"),  # 8 / 10: cooling is below it, not at it
        (6, 252, "cooling"),  # 7 / 10
        (19, 252, "surging"),  # 20 / 10 and at least 10 views
        (9, 112, "rising"),  # 10 / 5 but too few views
        (39, 252, "breakout"),  # 40 / 10, z = 30 / sqrt(10)
        (38, 252, "surging"),  # 39 / 10
        (19, 28 * 4, "surging"),  # 20 / 5, but fewer than 20 views
    ],
)
def test_states_at_their_bounds(signal, recent, before, expected):
    assert state_after(product(recent, before), signal)[0] == expected


def test_a_state_is_kept_until_its_exit_bound(signal):
    products = product(11, 252)
    assert state_after(products, signal)[0] == "rising"
    products["views_24h"][:], products["views_696h"][:] = 10, 262
    assert state_after(products, signal, NOW + 10)[0] == "rising"
    products["views_24h"][:], products["views_696h"][:] = 9, 261
    assert state_after(products, signal, NOW + 20)[0] == "steady"


def test_undefined_before_enough_days(signal):
    products = product(50, 60, days=6)
    assert not len(state_after(products, signal)[1].index)
    assert not momentum.level(products, NOW, 0, 7).defined.any()
    assert momentum.level(product(50, 60, days=7), NOW, 0, 7).defined.all()


def test_a_change_within_the_cooldown_is_kept_as_suppressed_once(signal):
    products = product(11, 252)
    state_after(products, signal)
    products["views_24h"][:], products["views_696h"][:] = 6, 258
    state, moves = state_after(products, signal, NOW + 5)
    assert state == "rising" and moves.cause.tolist() == [1]
    assert not len(state_after(products, signal, NOW + 5)[1].index)
    state, moves = state_after(products, signal, NOW + 6)
    assert state == "cooling" and moves.cause.tolist() == [0]


def test_thresholds_name_the_bound_that_was_crossed(signal):
    codes = {name: code for code, name in momentum.codes(signal).items()}
    pairs = [("steady", "rising"), ("rising", "steady"), ("cooling", "steady"), ("steady", "cooling")]
    origin, target = (np.array([codes[pair[side]] for pair in pairs]) for side in (0, 1))
    none = np.zeros(4, dtype=np.int64)
    top, bottom = momentum.bounds(signal, Moves(none, origin, target, none))
    assert (top / bottom).tolist() == [1.2, 1.1, 0.9, 0.8]
    assert SHIPPED.is_dir()
