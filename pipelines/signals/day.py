"""One day of product signals: from the state of the day before and the facts of the day to snapshots and crossings.

Stock and prices step at their instants, ``start <= t < end``. Windowed signals move at grid instants, ``start < t <=
end``, in the order in which they build on each other; what is seen there is data before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from pipelines.calendar import Day
from pipelines.facts.cart_presence import Carts
from pipelines.signals import demand, inputs, readings, windows
from pipelines.signals import state as states
from pipelines.signals.arrays import Ints
from pipelines.signals.attributes import BEGINNING
from pipelines.signals.catalogue import (
    Composite,
    Count,
    Lifecycle,
    Momentum,
    Pressure,
    Price,
    Rank,
    Rate,
    Risk,
    Runway,
    Scarcity,
    Score,
    Signal,
    StockMove,
)
from pipelines.signals.crossings import SEPARATOR, Crossings
from pipelines.signals.demand import NEVER, micros
from pipelines.signals.grid import Around, Moving, level_at
from pipelines.signals.inputs import Run
from pipelines.signals.measures import (
    carts,
    composite,
    counts,
    lifecycle,
    momentum,
    price,
    rank,
    risk,
    scarcity,
    stock,
)
from pipelines.signals.measures.risk import Inbound, Supply
from pipelines.signals.measures.scarcity import UNMEASURED, Sales
from pipelines.signals.measures.stock import Seen
from pipelines.signals.readings import Reading, Told
from pipelines.signals.state import State
from pipelines.signals.units import HOUR
from pipelines.signals.visits import Visits


@dataclass
class Stock:
    """The stock of a day as the grid sees it.

    Attributes:
        total: slot of each product's total, -1 where it was never measured.
        product: product of each slot that is a total, -1 for others.
        available: by product, as seen at the last grid instant that was asked for.
        level: the same for the level.
        seen: changes of the day.
        before: sales of the days before.
        final: sales with the day itself, which count at its end.
        inbound: announced deliveries.
        end: of the day in microseconds.
        done: changes that were seen by the last grid instant that was asked for.
        rate: sales by product that were asked for last.
    """

    total: Ints
    product: Ints
    available: Ints
    level: Ints
    seen: Seen
    before: Sales
    final: Sales
    inbound: Inbound
    end: int
    done: int = 0
    rate: tuple[Sales, Ints, Ints] | None = None


@dataclass(frozen=True)
class Result:
    """What a day says: rows of ``signal_snapshots``, ``signal_windows`` and ``crossings.ROWS``, without the date."""

    snapshot: pl.DataFrame
    windows: pl.DataFrame
    crossings: pl.DataFrame


def one_day(run: Run, state: State, day: Day, visits: Visits, *, tell: bool = True) -> Result | None:
    """Advance the state over one day; what it says is put into rows only where it is to be told."""
    grid = demand.grid(day)
    found = Crossings()
    inputs.load_hours(run, state.hours, day, state.products)
    if state.before is None:
        state.before = _readings_before(run, state, day, visits)
    before = state.before
    pressure, after = _carts(run, state, day, grid)
    visits.known(day.date, state.products)
    supply = _stock_of_day(run, state, day, found)
    _attributes(run, state, day, found)
    first_seen(run, state, day)
    _hourly(run, state, day, grid, supply, pressure, found)
    state.carts = after
    states.settle(state, run.definitions, grid[-1])
    state.hours.forget(grid[-1] - max(states.lags(run.definitions)) - 72)
    counted = visits.of(day.date, state.products) if tell or windows.unusual(run.definitions) else {}
    state.before = _readings(run, state, grid[-1], supply.final, counted)
    if not tell:
        return None
    return Result(
        readings.snapshot(state.products, _tables(run, state, before)),
        windows.rows(state.products, state.hours, counted, run.definitions, grid[-1]),
        found.rows(),
    )


def _tables(run: Run, state: State, before: list[Reading]) -> list[Told]:
    of_stock = {each.id for each in states.all_of(run.definitions, Runway, Scarcity)}
    now = state.before or []
    return [
        Told(table, *([each for each in some if (each.signal_id in of_stock) == slots] for some in (now, before)))
        for table, slots in ((state.products, False), (state.slots, True))
    ]


def _readings_before(run: Run, state: State, day: Day, visits: Visits) -> list[Reading]:
    """Readings at the end of the day before, from a state that was loaded."""
    if not state.products.height:
        return []
    yesterday = day.date - timedelta(days=1)
    counted = visits.of(yesterday, state.products) if windows.unusual(run.definitions) else {}
    state.rate = _rate(run, state, yesterday, state.slots["in_stock"])
    return _readings(run, state, demand.grid(day)[0] - 1, state.rate, counted)


def _readings(run: Run, state: State, hour: int, rate: Sales, counted: windows.Visits) -> list[Reading]:
    products, wanted = state.products, run.definitions
    found = [
        *counts.readings(products, state.hours, states.all_of(wanted, Count, Rate), hour, counted),
        *scarcity.readings(state.slots, states.all_of(wanted, Runway, Scarcity), rate),
        *risk.readings(products, states.all_of(wanted, Risk, Score)),
    ]
    for signal in wanted.values():
        if isinstance(signal.measure, Momentum) and state.data_since != NEVER:
            found += momentum.readings(products, signal, level_at(state, signal, hour))
        elif isinstance(signal.measure, Pressure):
            found += carts.readings(products, signal)
        elif isinstance(signal.measure, Rank):
            found += rank.readings(products, signal)
        elif isinstance(signal.measure, Lifecycle):
            found += lifecycle.readings(products, signal, hour * HOUR)
        elif isinstance(signal.measure, Composite):
            found += composite.readings(products, signal)
        elif isinstance(signal.measure, Price):
            found += price.readings(products, signal)
    return found


def _rate(run: Run, state: State, last: date, in_stock: Ints) -> Sales:
    signal = states.of(run.definitions, Scarcity)
    levels = signal.levels if signal else ()
    sold_days = next((signal.param(level.sold_days) for level in levels if signal and level.sold_days), 0)
    return scarcity.sales(state.slots, inputs.sales(run, last), sold_days, in_stock)


def _rate_before(run: Run, state: State, day: Day) -> Sales:
    """Sales of the days before a day: what was found at the end of the one before, where it is at hand."""
    if state.rate is None:
        return _rate(run, state, day.date - timedelta(days=1), state.slots["in_stock"])
    # A slot that is new today had no stock on any of those days.
    more = state.slots.height - len(state.rate.units)
    return Sales(*(np.pad(column, (0, more)) for column in (state.rate.units, state.rate.days, state.rate.sold)))


def _carts(run: Run, state: State, day: Day, grid: list[int]) -> tuple[dict[int, tuple[Ints, Ints]], Carts]:
    """Changes of cart pressure by hour (product index, change), and the carts at the end of the day."""
    signal = states.of(run.definitions, Pressure)
    if signal is None:
        return {}, state.carts
    rows, orders = inputs.cart_steps(run, day.date)
    moves, after = carts.day_of_carts(state.carts, rows, orders, state.products, grid, micros(day.end), signal)
    bounds = np.searchsorted(moves.grid, [*grid, grid[-1] + 1])
    return {
        hour: (moves.product[bounds[n] : bounds[n + 1]], moves.change[bounds[n] : bounds[n + 1]])
        for n, hour in enumerate(grid)
    }, after


def _stock_of_day(run: Run, state: State, day: Day, found: Crossings) -> Stock:
    """Step the stock through the day and move levels at its end."""
    slots, products = state.slots, state.products
    measured = inputs.stock(run, day.date)
    start, steps, places = stock.steps_of_day(measured, state.places, run.inside)
    inbound = Inbound.of(state.places, measured, products)
    slots.index(pl.concat([start["slot"], steps["slot"]]))
    before = _rate_before(run, state, day)
    signals = stock.Definitions(*(_stock_signals(run)))
    total = slots.known(products.ids + SEPARATOR)
    product = np.full(slots.height, -1, dtype=np.int64)
    product[total[total >= 0]] = np.flatnonzero(total >= 0)
    available, level = _by_product(slots["available"], total, 0), _by_product(slots["scarcity"], total, UNMEASURED)
    seen, some = stock.through_the_day(slots, steps, before, signals, found)
    slots["in_stock"][:] = scarcity.with_day(slots["in_stock"], some)
    final = _rate(run, state, day.date, slots["in_stock"])
    end = micros(day.end)
    state.rate = final
    stock.at_the_end(slots, final, signals, end, found)
    state.places = places
    return Stock(total, product, available, level, seen, before, final, inbound, end)


def _stock_signals(run: Run) -> tuple[Signal, Signal | None, Signal | None]:
    moves = {each.measure.stock: each for each in run.definitions.values() if isinstance(each.measure, StockMove)}
    level = states.of(run.definitions, Scarcity)
    assert level is not None  # noqa: S101
    return level, moves.get("restock"), moves.get("alert")


def _by_product(column: Ints, total: Ints, missing: int) -> Ints:
    return np.where(total >= 0, column[np.maximum(total, 0)], missing) if len(column) else np.full(len(total), missing)


def _supply(state: State, supply: Stock, hour: int) -> Supply:
    """Stock as seen at a grid instant."""
    seen, at_end = supply.seen, hour * HOUR >= supply.end
    until = int(np.searchsorted(seen.at, hour * HOUR, side="left"))
    owner = supply.product[seen.index[supply.done : until]]
    totals = owner >= 0
    supply.available[owner[totals]] = seen.available[supply.done : until][totals]
    supply.level[owner[totals]] = seen.level[supply.done : until][totals]
    supply.done = until
    if at_end:
        supply.level[:] = _by_product(state.slots["scarcity"], supply.total, UNMEASURED)
    rate = supply.final if at_end else supply.before
    if supply.rate is None or supply.rate[0] is not rate:
        units, days = _by_product(rate.units, supply.total, 0), _by_product(rate.days, supply.total, 0)
        supply.rate = rate, units, days
    return Supply(supply.available, supply.level, *supply.rate[1:])


def _attributes(run: Run, state: State, day: Day, found: Crossings) -> None:
    """Take categories and prices of products that are new, and step prices through the day."""
    products = state.products
    start, end = micros(day.start), micros(day.end)
    fresh = pl.DataFrame({"product_id": products.ids.filter(pl.Series(products["category"] < 0))})
    known = run.steps.filter(pl.col("at") < start).join(fresh, on="product_id", how="semi")
    newest = known.unique("product_id", keep="last", maintain_order=True)
    index = products.index(newest["product_id"])
    products["category"][index] = _category(newest)
    priced = known.filter((pl.col("at") == BEGINNING) | pl.col("repriced"))
    priced = priced.unique("product_id", keep="last", maintain_order=True)
    index = products.index(priced["product_id"])
    for name, column in (("price", "price"), ("price_low", "low"), ("price_at", "at")):
        products[name][index] = np.maximum(priced[column].to_numpy(), -1)
    signal = states.of(run.definitions, Price)
    steps = run.steps.filter(pl.col("repriced") & pl.col("at").is_between(start, end, closed="left"))
    if signal is not None:
        here = pl.Series(products.known(steps["product_id"]) >= 0)
        price.through_the_day(products, steps.filter(here), signal, start, end, found)


def _category(steps: pl.DataFrame) -> Ints:
    """Keys of categories as numbers from 0, 0 for none."""
    return steps.select(pl.col("category") & 0x7FFF_FFFF_FFFF_FFFF).to_series().to_numpy()


def _recategorised(run: Run, day: Day) -> pl.DataFrame:
    steps = run.steps.filter(pl.col("at").is_between(micros(day.start), micros(day.end), closed="left"))
    return steps.sort("at", "product_id")


def first_seen(run: Run, state: State, day: Day) -> None:
    """Lower ``first_seen`` to the instant of publication where that is earlier and not in the future."""
    known = run.published.filter(pl.col("product_id").is_in(state.products.ids.implode()))
    known = known.filter(pl.col("first_published_at") < day.end).sort("product_id")
    index = state.products.index(known["product_id"])
    column = state.products["first_seen"]
    column[index] = np.minimum(column[index], known["first_published_at"].dt.epoch("us").to_numpy())
    since = state.hours.since()
    if since != NEVER:
        state.data_since = min(state.data_since, since * HOUR)


def _hourly(
    run: Run,
    state: State,
    day: Day,
    grid: list[int],
    supply: Stock,
    pressure: dict[int, tuple[Ints, Ints]],
    found: Crossings,
) -> None:
    """Move everything that is windowed over the grid of the day."""
    products = state.products
    steps = _recategorised(run, day)
    owners, at, keys = products.known(steps["product_id"]), steps["at"].to_numpy(), _category(steps)
    carted = np.zeros(products.height, dtype=np.int64)
    nobody = np.zeros(0, dtype=np.int64)
    active = state.hours.active.get(day.date, nobody)
    moving = Moving(run.definitions, state, found, grid)
    done = 0
    numbers = _numbers(products["category"])
    for hour in grid:
        touched = demand.advance(products, state.hours, hour, moving.windows)
        until = int(np.searchsorted(at, hour * HOUR, side="left"))
        if until > done:
            here = owners[done:until] >= 0
            index, now = owners[done:until][here], keys[done:until][here]
            if (products["category"][index] != now).any():
                products["category"][index] = now
                numbers = _numbers(products["category"])
            done = until
        np.add.at(carted, *pressure.get(hour, (nobody, nobody)))
        over = hour * HOUR >= supply.end
        if over:
            products["active_days"][active] += 1
        seen = _supply(state, supply, hour)
        more = [active] if over else []
        moving.to(hour, Around(touched, more, carted, seen, supply.inbound, numbers, hour == grid[-1]))
    if grid[-1] * HOUR < supply.end:
        products["active_days"][active] += 1


def _numbers(category: Ints) -> Ints:
    """Numbers of categories from 0, -1 for none, in the order of their keys."""
    _, numbers = np.unique(np.where(category > 0, category, 0), return_inverse=True)
    first = 1 if (category <= 0).any() else 0
    return numbers.astype(np.int64) - first
