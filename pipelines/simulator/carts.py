"""What becomes of carts: which session buys, clears or leaves its cart, and what is in it by then.

A cart lives through a visitor's sessions until it is bought, cleared, or replaced by a fresh one. Instants are not
known yet: sessions of a visitor are in order, and that is enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.simulator import log
from pipelines.simulator.settings import Flags, Ints, running_sum

CART_STEPS = (log.ADDED, log.REMOVED, log.CART_VIEWED, log.CHECKOUT_STARTED, log.STEP_COMPLETED, log.ORDER_COMPLETED)
#: A removal stands this far behind its view, so that a few more views come in between.
REMOVAL = 25
_CART, _CLEARING, _CHECKOUT, _STEPS, _ORDER = 1_000, 1_100, 2_000, 2_100, 3_000
_SCHEMA = pl.Schema(dict.fromkeys(("session", "place", "name", "product", "quantity", "step"), pl.Int64()))


@dataclass(frozen=True)
class Carts:
    """One value a session.

    Attributes:
        epoch: number of the life of a cart that the session belongs to; a life ends when its cart is bought or cleared.
        cart: number of the cart id, -1 for visitors whose shop version sends none.
        filled: something is in the cart at the end of browsing.
        adds: the session put something in.
        buys, clears, checks_out: how the session ends.
    """

    epoch: Ints
    cart: Ints
    filled: Flags
    adds: Flags
    buys: Flags
    clears: Flags
    checks_out: Flags


def step(
    session: Ints, place: Ints | int, name: int, product: Ints | int = -1, quantity: Ints | int = -1, number: int = -1
) -> pl.DataFrame:
    """Steps of sessions: session, place in it, event name, product, quantity in thousandths, checkout step."""
    values = (session, place, name, product, quantity, number)
    shape = session.shape
    columns = [pl.Series(np.broadcast_to(np.asarray(value, dtype=np.int64), shape).copy()) for value in values]
    return pl.DataFrame(dict(zip(_SCHEMA, columns, strict=True)), schema=_SCHEMA)


def decide(rng: np.random.Generator, visitor: Ints, first: Flags, clicked: Flags, steps: pl.DataFrame) -> Carts:
    """Decide how each session ends.

    Wishes are drawn first. A wish to buy comes true where something was put in and kept since the last wish: if that
    wish found an empty cart, so would anything before it, and so no session has to wait for another's outcome.
    """
    count = len(visitor)
    kept = _kept(steps, count)
    adds = kept > 0
    chance = np.where(adds, 0.3, 0.15) + 0.15 * clicked
    wish = rng.random(count)
    buys, clears = wish < chance, wish > 0.95
    nameless = rng.random(int(visitor.max()) + 1)[visitor] < 0.02
    fresh = first | nameless | (rng.random(count) < 0.07)
    epoch_starts = fresh | np.r_[False, (buys | clears)[:-1]]
    cart_starts = fresh | np.r_[False, buys[:-1]]
    filled = running_sum(adds.astype(np.int64), epoch_starts) > 0
    checks_out = buys | (~clears & (rng.random(count) < 0.3))
    return Carts(
        epoch=np.cumsum(epoch_starts),
        cart=np.where(nameless, -1, np.cumsum(cart_starts)),
        filled=filled,
        adds=adds,
        buys=buys & filled,
        clears=clears & filled,
        checks_out=checks_out & filled,
    )


def _kept(steps: pl.DataFrame, sessions: int) -> Ints:
    """Thousandths that each session put into its cart and left there."""
    kept = np.zeros(sessions, dtype=np.int64)
    for name, sign in ((log.ADDED, 1), (log.REMOVED, -1)):
        rows = steps.filter(pl.col("name") == name)
        np.add.at(kept, rows["session"].to_numpy(), sign * rows["quantity"].to_numpy())
    return kept


def contents(steps: pl.DataFrame, carts: Carts) -> pl.DataFrame:
    """What is in the cart of each session that buys or clears it: session, product, quantity."""
    ends = np.flatnonzero(carts.buys | carts.clears)
    closing = pl.DataFrame({"epoch": carts.epoch[ends], "closing": ends})
    moves = steps.filter(pl.col("name").is_in([log.ADDED, log.REMOVED]))
    epoch = carts.epoch[moves["session"].to_numpy()]
    signed = pl.when(pl.col("name") == log.ADDED).then(pl.col("quantity")).otherwise(-pl.col("quantity"))
    return (
        moves.with_columns(epoch=pl.Series(epoch), quantity=signed)
        .join(closing, on="epoch")
        .group_by("closing", "product")
        .agg(pl.col("quantity").sum())
        .filter(pl.col("quantity") > 0)
        .rename({"closing": "session"})
        .sort("session", "product")
    )


def steps(rng: np.random.Generator, carts: Carts, content: pl.DataFrame) -> pl.DataFrame:
    """Steps behind browsing: looking into the cart, taking everything out, checking out, buying."""
    count = len(carts.filled)
    looks = carts.filled & (rng.random(count) < np.where(carts.adds | carts.buys, 0.55, 0.25))
    cleared = content.filter(pl.Series(carts.clears[content["session"].to_numpy()]))
    started = np.flatnonzero(carts.checks_out)
    reached = np.where(carts.buys[started], 3, rng.integers(0, 3, len(started)))
    pieces = [
        step(np.flatnonzero(looks), _CART, log.CART_VIEWED),
        step(
            cleared["session"].to_numpy(),
            _CLEARING,
            log.REMOVED,
            cleared["product"].to_numpy(),
            cleared["quantity"].to_numpy(),
        ),
        step(started, _CHECKOUT, log.CHECKOUT_STARTED),
        step(np.flatnonzero(carts.buys), _ORDER, log.ORDER_COMPLETED),
    ]
    for number in (1, 2, 3):
        done = started[reached >= number]
        pieces.append(step(done, _STEPS + number, log.STEP_COMPLETED, number=number))
    return pl.concat(pieces)
