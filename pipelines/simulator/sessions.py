"""What visitors do on the web: sessions with views, carts that are filled, emptied, left, taken up again or bought.

A session is planned first (when, how many views, whether it would check out), then spelled out into steps, then timed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.simulator import carts, log
from pipelines.simulator.catalogue import Catalogue
from pipelines.simulator.people import People
from pipelines.simulator.settings import (
    HOUR,
    MILLISECOND,
    MINUTE,
    SECOND,
    Flags,
    Ints,
    SimulationConfig,
    half_even,
    running_sum,
    wall_to_utc,
    weighted,
)

_WEEKDAY = np.array([0.95, 0.9, 0.9, 0.95, 1.0, 1.2, 1.3])
_HOUR = np.array([2, 1, 1, 1, 1, 2, 4, 6, 7, 8, 9, 9, 10, 9, 8, 8, 9, 10, 12, 14, 15, 13, 9, 5], dtype=np.float64)
_SESSIONS_A_MONTH = 3.6
# Places inside a session: views stand at 10, 20, ...; what follows the last view is placed by carts.
_VIEW_STEP = 10
_PAUSES = 0.012
_MAX_VIEWS = 60


@dataclass(frozen=True)
class Plan:
    """Sessions in order of visitor and start; one value a session.

    Attributes:
        visitor, start: who and when, before overlapping sessions are pushed apart.
        campaign: the campaign whose link was clicked, else -1.
        product: the product clicked on, else the first one looked at.
        views: number of product views.
        first: the visitor's first session.
    """

    visitor: Ints
    start: Ints
    campaign: Ints
    product: Ints
    views: Ints
    first: Flags


@dataclass(frozen=True)
class Sessions:
    """The outcome.

    Attributes:
        events: rows of the log.
        orders: order, t, customer (-1 for a guest), channel, campaign (-1 for none); one row for each Order Completed.
        lines: order, product, quantity in thousandths.
        links: visitor, customer, t, resolution, of the sign-ins.
    """

    events: pl.DataFrame
    orders: pl.DataFrame
    lines: pl.DataFrame
    links: pl.DataFrame


def plan(config: SimulationConfig, people: People, catalogue: Catalogue, clicks: pl.DataFrame) -> Plan:
    """Draw sessions with a weekly and daily rhythm in the tenant's zone, heavy-tailed, and those of clicks."""
    rng = config.rng("plan")
    rate = np.minimum(np.exp(rng.normal(-0.6, 1.1, config.visitors)) * _SESSIONS_A_MONTH, 120.0)
    count = np.maximum(rng.poisson(rate * config.days / 30), 1)
    visitor = np.repeat(np.arange(config.visitors, dtype=np.int64), count)
    weekday = (config.first.weekday() + np.arange(config.days)) % 7
    day = weighted(rng, _WEEKDAY[weekday], len(visitor))
    wall = weighted(rng, _HOUR, len(visitor)) * HOUR + (rng.random(len(visitor)) * HOUR).astype(np.int64)
    start = wall_to_utc(day, wall // MILLISECOND * MILLISECOND, config.first, config.zone)
    product = catalogue.popular(rng, len(visitor))
    none = np.full(len(visitor), -1, dtype=np.int64)
    visitor = np.concatenate([visitor, clicks["visitor"].to_numpy()])
    start = np.concatenate([start, clicks["t"].to_numpy() + 2 * SECOND])
    campaign = np.concatenate([none, clicks["campaign"].to_numpy()])
    product = np.concatenate([product, clicks["product"].to_numpy()])
    views = np.minimum(rng.geometric(0.27, len(visitor)), _MAX_VIEWS).astype(np.int64)
    order = np.lexsort((start, visitor))
    visitor = visitor[order]
    first = np.r_[True, visitor[1:] != visitor[:-1]]
    return Plan(visitor, start[order], campaign[order], product[order], views[order], first)


def run(config: SimulationConfig, people: People, catalogue: Catalogue, sessions: Plan) -> Sessions:
    """Spell the plan out into steps, give each an instant, and note who was known."""
    rng = config.rng("sessions")
    steps = _browsing(rng, catalogue, sessions)
    decided = carts.decide(rng, sessions.visitor, sessions.first, sessions.campaign >= 0, steps)
    content = carts.contents(steps, decided)
    closing = carts.steps(rng, decided, content)
    steps = pl.concat([steps, closing, _sign_ins(rng, people, sessions)])
    steps = steps.sort("session", "place", "product", maintain_order=True)
    steps = steps.with_columns(t=pl.Series(_instants(rng, sessions, steps)))
    return _outcome(rng, people, catalogue, sessions, decided, content, steps)


def _browsing(rng: np.random.Generator, catalogue: Catalogue, sessions: Plan) -> pl.DataFrame:
    """Session Started, product lists, views, adds, and removals of what the same session added."""
    count = len(sessions.visitor)
    session = np.repeat(np.arange(count, dtype=np.int64), sessions.views)
    number = np.arange(len(session)) - np.repeat(np.cumsum(sessions.views) - sessions.views, sessions.views)
    first = sessions.product[session]
    other = np.where(rng.random(len(session)) < 0.5, catalogue.alike(rng, first), catalogue.popular(rng, len(session)))
    product = np.where(number == 0, first, other)
    place = (number + 1) * _VIEW_STEP
    eager = rng.beta(0.5, 5.0, count) + 0.25 * (sessions.campaign >= 0)
    listed = rng.random(len(session)) < 0.3
    added = rng.random(len(session)) < eager[session]
    quantity = catalogue.quantity(rng, product)
    wiped = rng.random(count) < 0.04
    removed = added & ((rng.random(len(session)) < 0.1) | wiped[session])
    one_of_two = removed & ~wiped[session] & ~catalogue.by_weight[product] & (quantity > 1_000)
    return pl.concat(
        [
            carts.step(np.arange(count), 0, log.SESSION_STARTED),
            carts.step(session[listed], place[listed] - 1, log.LIST_VIEWED),
            carts.step(session, place, log.VIEWED, product),
            carts.step(session[added], place[added] + 1, log.ADDED, product[added], quantity[added]),
            carts.step(
                session[removed],
                place[removed] + carts.REMOVAL,
                log.REMOVED,
                product[removed],
                np.where(one_of_two, 1_000, quantity)[removed],
            ),
        ]
    )


def _sign_ins(rng: np.random.Generator, people: People, sessions: Plan) -> pl.DataFrame:
    """One sign-in, in a session of their own choice, of each visitor who is a customer but was not linked before."""
    begin = np.flatnonzero(sessions.first)
    size = np.diff(np.r_[begin, len(sessions.visitor)])
    chosen = begin + (rng.random(len(begin)) * size).astype(np.int64)
    visitor = sessions.visitor[chosen]
    chosen = chosen[(people.customer_of[visitor] >= 0) & (people.linked_before[visitor] < 0)]
    return carts.step(chosen, 5, log.SIGNED_IN)


def _instants(rng: np.random.Generator, sessions: Plan, steps: pl.DataFrame) -> Ints:
    """Instants of steps in session order; a session that would overlap the visitor's previous one starts after it."""
    session = steps["session"].to_numpy()
    begins = np.r_[True, session[1:] != session[:-1]]
    gap = SECOND // 2 + (rng.exponential(38.0, len(session)) * SECOND).astype(np.int64)
    gap += np.where(rng.random(len(session)) < _PAUSES, rng.integers(20 * MINUTE, 150 * MINUTE, len(session)), 0)
    gap = gap // MILLISECOND * MILLISECOND
    # Half an hour to the microsecond is the bound of the abandonment rule, so it has to occur.
    gap = np.where(rng.random(len(session)) < 0.0005, 30 * MINUTE, gap)
    passed = running_sum(np.where(begins, 0, gap), begins)
    lasted = passed[np.r_[begins[1:], True]] + MINUTE
    before = running_sum(lasted, sessions.first) - lasted
    latest = pl.DataFrame({"visitor": sessions.visitor, "slack": sessions.start - before})
    slack = latest.select(pl.col("slack").cum_max().over("visitor")).to_series().to_numpy()
    result: Ints = (slack + before)[session] + passed
    return result


def _outcome(
    rng: np.random.Generator,
    people: People,
    catalogue: Catalogue,
    sessions: Plan,
    decided: carts.Carts,
    content: pl.DataFrame,
    steps: pl.DataFrame,
) -> Sessions:
    session, name, t = (steps[column].to_numpy() for column in ("session", "name", "t"))
    signs, ordered = name == log.SIGNED_IN, name == log.ORDER_COMPLETED
    visitor = sessions.visitor[session]
    customer = _customers(people, visitor, t, signs)
    shows = (rng.random(len(sessions.visitor)) < 0.8)[session] | signs
    resolution = np.where(signs, weighted(rng, np.array([0.7, 0.2, 0.1]), len(session)), -1)
    orders = pl.DataFrame(
        {
            "order": np.arange(int(ordered.sum()), dtype=np.int64),
            "t": t[ordered],
            "customer": customer[ordered],
            "channel": people.app[visitor[ordered]].astype(np.int64),
            "campaign": sessions.campaign[session[ordered]],
        }
    )
    order_of = np.full(len(sessions.visitor), -1, dtype=np.int64)
    order_of[session[ordered]] = orders["order"].to_numpy()
    events = _rows(people, catalogue, sessions, decided, steps).with_columns(
        customer=_nullable(np.where(shows, customer, -1)),
        order=_nullable(np.where(ordered, order_of[session], -1)),
        resolution=_nullable(resolution),
    )
    bought = content.with_columns(order=pl.Series(order_of[content["session"].to_numpy()])).filter(pl.col("order") >= 0)
    links = pl.DataFrame(
        {"visitor": visitor[signs], "customer": customer[signs], "t": t[signs], "resolution": resolution[signs]}
    )
    return Sessions(events, orders, bought.select("order", "product", "quantity"), links)


def _customers(people: People, visitor: Ints, t: Ints, signs: Flags) -> Ints:
    """The customer that each step's visitor is known as at its instant, else -1."""
    linked_at = people.linked_before.copy()
    linked_at[visitor[signs]] = t[signs]
    known = (linked_at[visitor] >= 0) & (linked_at[visitor] <= t)
    return np.where(known, people.customer_of[visitor], -1)


def _rows(
    people: People, catalogue: Catalogue, sessions: Plan, decided: carts.Carts, steps: pl.DataFrame
) -> pl.DataFrame:
    """Rows of the log, without who was known and what was ordered."""
    session, name, t, product = (steps[column].to_numpy() for column in ("session", "name", "t", "product"))
    price = np.where(product >= 0, catalogue.price(np.maximum(product, 0), t), -1)
    in_cart = np.isin(name, carts.CART_STEPS)
    at_checkout = np.isin(name, (log.CHECKOUT_STARTED, log.STEP_COMPLETED, log.ORDER_COMPLETED))
    return log.piece(
        len(session),
        t=t,
        name=name,
        visitor=sessions.visitor[session],
        session=session,
        product=product,
        quantity=steps["quantity"].to_numpy(),
        price=np.where(in_cart, price, -1),
        cart=np.where(in_cart, decided.cart[session], -1),
        checkout=np.where(at_checkout, session, -1),
        step=steps["step"].to_numpy(),
        value=np.where(name == log.CHECKOUT_STARTED, _cart_value(decided, steps, price), -1),
        campaign=sessions.campaign[session],
        device=people.device[sessions.visitor[session]],
        channel=people.app[sessions.visitor[session]].astype(np.int64),
    )


def _nullable(values: Ints) -> pl.Series:
    series = pl.Series(values)
    return series.set(series < 0, None)


def _cart_value(decided: carts.Carts, steps: pl.DataFrame, price: Ints) -> Ints:
    """What the shop would say a cart is worth: what was put in less what was taken out, at the prices of then."""
    sign = np.select([steps["name"].to_numpy() == log.ADDED, steps["name"].to_numpy() == log.REMOVED], [1, -1], 0)
    moved = sign * half_even(steps["quantity"].to_numpy() * np.maximum(price, 0))
    epoch = decided.epoch[steps["session"].to_numpy()]
    return np.maximum(running_sum(moved, np.r_[True, epoch[1:] != epoch[:-1]]), 0)
