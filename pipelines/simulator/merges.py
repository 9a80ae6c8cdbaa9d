"""Customers that turn out to be another one: drawn here, told as versions, and resolved for the answers by plain loops.

Only customers whom no visitor is linked to are merged, so that carts and clicks stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pipelines.simulator.settings import (
    DAY,
    HISTORY_DAYS,
    MILLISECOND,
    Ints,
    SimulationConfig,
    as_timestamps,
    gather,
)

if TYPE_CHECKING:
    from pipelines.simulator.people import People

_TAKEN_BACK_SHARE = 0.4
#: For each customer that was merged: into whom, from when on, and until when (None: for good).
Merges = dict[int, tuple[int, int, int | None]]
#: An order for one customer: its instant, and from when and until when (None: for good) it counts for them.
Share = tuple[int, int, int | None]


def draw(config: SimulationConfig, customers: int, linked: Ints) -> Merges:
    """Who is merged into whom, each into one with a higher number, so that chains end; a share is taken back."""
    alone = np.setdiff1d(np.arange(customers, dtype=np.int64), linked)
    count = min(round(config.merged * customers), max(0, len(alone) - 1))
    if not count:
        return {}
    rng = config.rng("merges")
    places = np.sort(rng.choice(len(alone) - 1, count, replace=False))
    into = alone[rng.integers(places + 1, len(alone))]
    first = config.start - min(HISTORY_DAYS, config.history_days) * DAY
    at = (first + rng.random(count) * (config.end - first)).astype(np.int64) // MILLISECOND * MILLISECOND
    left = (rng.random(count) * (config.end - at)).astype(np.int64) // MILLISECOND * MILLISECOND + MILLISECOND
    back = rng.random(count) < _TAKEN_BACK_SHARE
    ends = [until if is_back and until < config.end else None for until, is_back in zip(at + left, back, strict=True)]
    found = zip(alone[places].tolist(), into.tolist(), at.tolist(), ends, strict=True)
    return {one: (other, since, None if until is None else int(until)) for one, other, since, until in found}


def rows(people: People, first: pl.DataFrame) -> pl.DataFrame:
    """The versions that say so: a patch that names the other, and the first version again where it is taken back."""
    merged = people.merges
    if not merged:
        return first.head(0)
    ids = np.array(list(merged), dtype=np.int64)
    into = np.array([target for target, _, _ in merged.values()], dtype=np.int64)
    since = np.array([at for _, at, _ in merged.values()], dtype=np.int64)
    named = pl.DataFrame(
        {
            "external_id": gather(people.customer_ids, ids),
            "op": pl.Series(["patch"] * len(ids), dtype=pl.String),
            "updated_at": as_timestamps(since),
            "merged_into": gather(people.customer_ids, into),
        }
    )
    back = {one: until for one, (_, _, until) in merged.items() if until is not None}
    whole = first[list(back)].with_columns(
        as_timestamps(np.array(list(back.values()), dtype=np.int64)).alias("updated_at")
    )
    return pl.concat([named, whole], how="diagonal")


def shares(orders: Iterable[tuple[int, int, int | None]], merges: Merges) -> dict[int, list[Share]]:
    """For whom each order counts, and when: it follows its customer into a merge and back out of it.

    Args:
        orders: customer, instant, and instant of a whole return or None.
        merges: who is merged.

    Returns:
        By customer, in order of the orders' instants.
    """
    instants = sorted({at for _, since, until in merges.values() for at in (since, until) if at is not None})
    found: dict[int, list[Share]] = {}
    for customer, t, undone in sorted(orders, key=lambda order: order[1]):
        for who, since, until in _stays(customer, t, undone, merges, instants):
            found.setdefault(who, []).append((t, since, until))
    return found


def _stays(
    customer: int, t: int, undone: int | None, merges: Merges, instants: list[int]
) -> Iterator[tuple[int, int, int | None]]:
    if customer not in merges:
        yield customer, t, undone
        return
    inside = [at for at in instants if t < at and (undone is None or at < undone)]
    since, who = t, _holder(customer, t, merges)
    for _, at in pairwise([t, *inside]):
        other = _holder(customer, at, merges)
        if other != who:
            yield who, since, at
            since, who = at, other
    yield who, since, undone


def _holder(customer: int, at: int, merges: Merges) -> int:
    """The customer that an id stands for right after an instant."""
    while customer in merges:
        into, since, until = merges[customer]
        if at < since or (until is not None and at >= until):
            break
        customer = into
    return customer
