"""Stock of the web shop and of the stores together: it goes down with sales and up with restocks, and is measured.

Measured each morning and at each restock: a row for the web shop, and one for the national group, which is the total of
both. Returned goods do not go back on sale. Sales beyond what is there leave nothing, never less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.simulator.catalogue import Catalogue
from pipelines.simulator.sales import STORE, Sales
from pipelines.simulator.settings import HOUR, SECOND, Ints, SimulationConfig, as_timestamps, gather, wall_to_utc
from pipelines.simulator.world import NATIONAL, ONLINE

POOLS = 2
_BEFORE_MORNING, _BEFORE_RESTOCK, _AFTER = range(3)


@dataclass(frozen=True)
class Stock:
    """Measurements as entity rows, and the true level of each SKU at the end of each day.

    Attributes:
        rows: the stock_levels entity, in order of measured_at.
        end_of_day: date, product_id, online, total (thousandths on hand), and measured_online, measured_total
            (thousandths available, as last measured by then).
    """

    rows: pl.DataFrame
    end_of_day: pl.DataFrame


@dataclass
class _Levels:
    """State of the day loop: thousandths by (pool, SKU), and the delivery under way."""

    on_hand: Ints
    due_day: Ints
    due_quantity: Ints


def build(config: SimulationConfig, catalogue: Catalogue, sales: Sales) -> Stock:
    """Run the days one after the other, all SKUs at once."""
    rng = config.rng("stock")
    count = len(catalogue.ids)
    jitter = rng.integers(0, 3_600, count) * SECOND
    days = np.arange(config.days, dtype=np.int64)
    morning = np.stack([wall_to_utc(np.full(count, d), 5 * HOUR + jitter, config.first, config.zone) for d in days])
    restock = morning + (3 * HOUR + rng.integers(0, 6 * 3_600, (config.days, count)) * SECOND)
    sold = _sold(config, sales, morning, restock, count)
    mean = sold.sum(axis=(0, 1)) / config.days
    whole = np.where(catalogue.by_weight, 1, 1_000)
    opening = (mean * rng.uniform(2, 30, (POOLS, count)) + rng.integers(0, 25, (POOLS, count)) * 1_000) // whole * whole
    levels = _Levels(opening.astype(np.int64), np.full((POOLS, count), -1), np.zeros((POOLS, count), dtype=np.int64))
    slow = rng.random(count) < 0.1
    measured, ends = [], []
    for day in range(config.days):
        lead = np.where(slow, rng.integers(5, 14, (POOLS, count)), rng.integers(1, 6, (POOLS, count)))
        reserved = rng.integers(0, 3, count) * 1_000
        _order_more(levels, mean, day, lead, whole)
        measured += _one_day(levels, sold[day], day, morning[day], restock[day], reserved)
        ends.append(levels.on_hand.copy())
    rows = pl.concat(measured).sort("t", "product", "scope")
    return Stock(_entity_rows(catalogue, rows), _ends(config, catalogue, rows, np.stack(ends)))


def _sold(config: SimulationConfig, sales: Sales, morning: Ints, restock: Ints, count: int) -> Ints:
    """Thousandths sold by (day, part of the day, pool, SKU), of orders that were not cancelled."""
    lines = sales.lines.join(sales.orders.select("order", "t", "channel", "cancelled_at"), on="order")
    lines = lines.filter(pl.col("t") >= config.start, pl.col("cancelled_at") < 0)
    t, product = lines["t"].to_numpy(), lines["product"].to_numpy()
    day = config.day_numbers(t)
    part = (t >= morning[day, product]).astype(np.int64) + (t >= restock[day, product])
    pool = (lines["channel"].to_numpy() == STORE).astype(np.int64)
    sold = np.zeros((config.days, 3, POOLS, count), dtype=np.int64)
    np.add.at(sold, (day, part, pool, product), lines["quantity"].to_numpy())
    return sold


def _order_more(levels: _Levels, mean: npt.NDArray[np.float64], day: int, lead: Ints, whole: Ints) -> None:
    """Order where less than about three days' sales are left and nothing is under way."""
    wanting = (levels.due_day < 0) & (levels.on_hand < mean * 3 + 2_000)
    quantity = (mean * 16 + 12_000) // whole * whole
    levels.due_day[:] = np.where(wanting, day + lead, levels.due_day)
    levels.due_quantity[:] = np.where(wanting, quantity, levels.due_quantity)


def _one_day(levels: _Levels, sold: Ints, day: int, morning: Ints, restock: Ints, reserved: Ints) -> list[pl.DataFrame]:
    hold = levels.on_hand
    hold[:] = np.maximum(hold - sold[_BEFORE_MORNING], 0)
    measured = [_measured(levels, morning, restock, reserved, np.arange(hold.shape[1]), day)]
    hold[:] = np.maximum(hold - sold[_BEFORE_RESTOCK], 0)
    arrives = levels.due_day == day
    hold[:] = hold + np.where(arrives, levels.due_quantity, 0)
    levels.due_day[:] = np.where(arrives, -1, levels.due_day)
    touched = np.flatnonzero(arrives.any(axis=0))
    measured.append(_measured(levels, restock, restock, reserved, touched, day))
    hold[:] = np.maximum(hold - sold[_AFTER], 0)
    return measured


def _measured(
    levels: _Levels, at: Ints, restock: Ints, reserved: Ints, skus: npt.NDArray[np.intp], day: int
) -> pl.DataFrame:
    """Rows of both scopes (0 web shop, 1 total): t, product, scope, on_hand, reserved, inbound_at, inbound."""
    frames = []
    for scope in range(POOLS):
        on_hand = levels.on_hand[0] if scope == 0 else levels.on_hand.sum(axis=0)
        held = np.where(on_hand > 10_000, reserved, 0)
        due = (
            levels.due_day[0]
            if scope == 0
            else np.where(levels.due_day.min(axis=0) < 0, -1, levels.due_day.max(axis=0))
        )
        quantity = levels.due_quantity[0] if scope == 0 else levels.due_quantity.sum(axis=0)
        inbound = np.where(due >= 0, restock + (due - day) * 24 * HOUR, -1)
        frames.append(
            pl.DataFrame(
                {
                    "t": at[skus],
                    "product": skus.astype(np.int64),
                    "scope": np.full(len(skus), scope, dtype=np.int64),
                    "on_hand": on_hand[skus],
                    "reserved": held[skus],
                    "inbound_at": inbound[skus],
                    "inbound": np.where(due >= 0, quantity, -1)[skus],
                }
            )
        )
    return pl.concat(frames)


def _entity_rows(catalogue: Catalogue, rows: pl.DataFrame) -> pl.DataFrame:
    scope = rows["scope"].to_numpy()
    return pl.DataFrame(
        {
            "product_id": gather(catalogue.ids, rows["product"].to_numpy()),
            "outlet_id": gather(pl.Series([ONLINE]), np.where(scope == 0, 0, -1)),
            "group_id": gather(pl.Series([NATIONAL]), np.where(scope == 1, 0, -1)),
            "on_hand": rows["on_hand"],
            "reserved": rows["reserved"],
            "available": rows["on_hand"] - rows["reserved"],
            "inbound_at": as_timestamps(rows["inbound_at"].to_numpy()),
            "inbound_qty": rows.select(pl.when(pl.col("inbound") >= 0).then("inbound")).to_series(),
            "measured_at": as_timestamps(rows["t"].to_numpy()),
        }
    )


def _ends(config: SimulationConfig, catalogue: Catalogue, rows: pl.DataFrame, ends: Ints) -> pl.DataFrame:
    """True and last measured level of each SKU at the end of each day, from the rows and the day loop."""
    count = len(catalogue.ids)
    available = np.zeros((config.days, POOLS, count), dtype=np.int64)
    day = config.day_numbers(rows["t"].to_numpy())
    # Rows are in order of time, and the last assignment to a cell stays.
    available[day, rows["scope"].to_numpy(), rows["product"].to_numpy()] = (
        rows["on_hand"] - rows["reserved"]
    ).to_numpy()
    dates = [config.date_of(number) for number in range(config.days)]
    return pl.DataFrame(
        {
            "date": pl.Series(dates).gather(np.repeat(np.arange(config.days), count)),
            "product_id": gather(catalogue.ids, np.tile(np.arange(count, dtype=np.int64), config.days)),
            "online": ends[:, 0, :].ravel(),
            "total": ends.sum(axis=1).ravel(),
            "measured_online": available[:, 0, :].ravel(),
            "measured_total": available[:, 1, :].ravel(),
        }
    )
