"""The step: a range of days in one pass over the facts, with the state in memory and one commit per table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from pipelines.calendar import Day, day_of, days_between
from pipelines.carry import Trail, day_inputs, folder
from pipelines.config import Tenant
from pipelines.errors import UsageError
from pipelines.facts.early import publications
from pipelines.facts.places import tenant_containment
from pipelines.signals import demand, evaluate, snapshots
from pipelines.signals import state as states
from pipelines.signals.arrays import Products
from pipelines.signals.catalogue import Momentum, Runway, Scarcity, Signal, signals
from pipelines.signals.evaluate import Inputs
from pipelines.signals.scarcity import SALES_DAYS, Sales
from pipelines.signals.state import PREVIOUS, State
from pipelines.step import Writers, publish
from pipelines.storage.hashing import identifiers, logical_sha256
from pipelines.storage.lake import Commit

STEP = "product_signals"
#: Changes when the columns of the state or their meaning do.
LAYOUT = "2"
HOURLY = ["product_id", "hour", "views", "views_last_15m"]
DAILY = ["date", "product_id", "purchases", "units_sold", "units_returned", "in_stock"]
STOCK = ["product_id", "outlet_id", "group_id", "measured_at", "external_id", "available"]


@dataclass
class Run:
    """Everything that stays the same while days are computed."""

    tenant: Tenant
    definitions: dict[str, Signal]
    windows: list[int]
    published: pl.DataFrame
    inside: pl.DataFrame
    daily: dict[date, pl.DataFrame]

    def of(self, measure: type) -> Signal | None:
        """The definition with a measure, when there is one."""
        return next((signal for signal in self.definitions.values() if isinstance(signal.measure, measure)), None)


def run(tenant: Tenant, days: Sequence[date]) -> dict[str, Commit]:
    """Publish ``signal_snapshots`` and ``signal_crossings`` of the days.

    Raises:
        UsageError: a definition is wrong.
        ContractError: a result violates its table; nothing is published.
    """
    return advance(tenant, days, ())


def advance(tenant: Tenant, days: Sequence[date], tail: Sequence[date]) -> dict[str, Commit]:
    """``run``, and of the days in ``tail`` those before which the state has changed."""
    definitions = signals(tenant)
    _one_of_each(definitions)

    def fill(writers: Writers) -> None:
        for day, snapshot, crossings in results(tenant, definitions, sorted(set(days)), tail):
            writers["signal_snapshots"].put(day, snapshot)
            writers["signal_crossings"].put(day, crossings)

    return publish(tenant, ("signal_snapshots", "signal_crossings"), fill)


def lookback(tenant: Tenant) -> dict[str, int]:
    """How many days before a day are read of the facts: hours leave a window, and sales are of two weeks."""
    hours = max(states.window_hours(signals(tenant)))
    return {"product_hourly": hours // 24 + 2, "product_daily": SALES_DAYS}


def _one_of_each(definitions: dict[str, Signal]) -> None:
    for measure in (Momentum, Scarcity, Runway):
        same = [signal.id for signal in definitions.values() if isinstance(signal.measure, measure)]
        if len(same) > 1:
            raise UsageError(f"signals {same[0]} and {same[1]} have the same measure; keep one of them")


def results(
    tenant: Tenant, definitions: dict[str, Signal], days: Sequence[date], tail: Sequence[date] = ()
) -> Iterator[tuple[date, pl.DataFrame, pl.DataFrame]]:
    """Yield (day, snapshots, crossings) of every day to publish, in order; state is saved on the way."""
    inside = tenant_containment(tenant)
    windows = states.window_hours(definitions)
    context = Run(tenant, definitions, windows, _published(tenant), inside, {})
    trail = _trail(tenant, definitions, inside, max([*days, *tail]), windows)
    state = _empty(windows)
    for turn in trail.walk(days, tail):
        if turn.begin:
            state = _empty(windows)
        if turn.load:
            state = states.load(trail, turn.load, windows)
        snapshot, crossings = one_day(context, state, day_of(turn.day, tenant.zone))
        trail.made(turn.day, states.parts(state))
        if turn.publish:
            yield turn.day, snapshot, crossings


def _trail(
    tenant: Tenant, definitions: dict[str, Signal], inside: pl.DataFrame, last: date, windows: list[int]
) -> Trail:
    versions = {signal.id: signal.definition_version for signal in definitions.values()}
    seed = json.dumps([LAYOUT, sorted(versions.items()), logical_sha256(inside)])
    reach = {"stock_levels": 0, **lookback(tenant)}
    told = publications(tenant)
    inputs = day_inputs(tenant.lake, reach, seed, last, lambda day: told.get(day, ""))
    return Trail(folder(tenant, STEP), inputs, states.parts(_empty(windows)))


def _empty(windows: list[int]) -> State:
    return State(Products(states.defaults(windows)))


def _published(tenant: Tenant) -> pl.DataFrame:
    rows = tenant.lake.scan("products").select(pl.col("external_id").alias("product_id"), "first_published_at")
    return rows.drop_nulls().sort("first_published_at", "product_id").collect()


def one_day(context: Run, state: State, day: Day) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Advance the state over one day.

    Returns:
        Snapshots and crossings of the day, as their contracts say but for the date.
    """
    lake = context.tenant.lake
    wanted = [each for each in demand.needed_days(day, context.windows, context.tenant.zone) if each <= day.date]
    for each in wanted:
        if each not in state.hours.loaded:
            state.hours.load(each, lake.scan("product_hourly", [each]).select(HOURLY).collect(), state.products)
    inputs = _inputs(context, day)
    evaluate.first_seen(state, inputs.published, day)
    crossings = [evaluate.hourly(state, day, context.windows, context.of(Momentum))]
    sales: Sales | None = None
    scarcity = context.of(Scarcity)
    if scarcity is not None:
        moved, sales = evaluate.stock(state, inputs, day, scarcity)
        crossings.append(moved)
    snapshot = snapshots.snapshot(state, context.definitions, demand.grid(day)[-1], sales)
    state.snapshot = snapshot.select(list(PREVIOUS))
    states.settle(state, context.of(Momentum), demand.grid(day)[-1])
    return snapshot, _crossing_rows(context, pl.concat(crossings))


def _inputs(context: Run, day: Day) -> Inputs:
    lake = context.tenant.lake
    needed = days_between(day.date - timedelta(days=SALES_DAYS), day.date)
    missing = [each for each in needed if each not in context.daily]
    read = lake.scan("product_daily", missing).select(DAILY).collect()
    for each in missing:
        context.daily[each] = read.filter(pl.col("date") == each)
    for old in [each for each in context.daily if each < needed[0]]:
        del context.daily[old]
    history = pl.concat([context.daily[each] for each in needed])
    age = (pl.lit(day.date) - pl.col("date")).dt.total_days()
    before = history.filter(pl.col("date") < day.date).with_columns(age.alias("age"))
    after = history.filter(pl.col("date") > needed[0]).with_columns((age + 1).alias("age"))
    stock = lake.scan("stock_levels", [day.date]).select(STOCK).drop_nulls(["product_id", "measured_at", "available"])
    return Inputs(stock.collect(), before, after, context.published, context.inside)


def _crossing_rows(context: Run, crossings: pl.DataFrame) -> pl.DataFrame:
    versions = {signal.id: signal.definition_version for signal in context.definitions.values()}
    instant = pl.from_epoch("effective_at", time_unit="us").dt.replace_time_zone("UTC")
    iso = pl.col("effective_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    return crossings.with_columns(instant.alias("effective_at")).with_columns(
        identifiers([pl.lit(context.tenant.id), pl.col("signal_id"), pl.col("subject"), pl.col("to_state"), iso]).alias(
            "crossing_id"
        ),
        pl.lit("product").alias("subject_type"),
        pl.col("signal_id").replace_strict(versions, return_dtype=pl.String).alias("definition_version"),
    )
