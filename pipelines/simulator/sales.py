"""Transactions: web orders from sessions, store sales, orders from before the first day, and returns of some of them.

All money is computed here, in minor units, from the prices of the catalogue at the instant of the order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.simulator.catalogue import Catalogue
from pipelines.simulator.people import People
from pipelines.simulator.settings import (
    DAY,
    HOUR,
    MILLISECOND,
    Flags,
    Floats,
    Ints,
    SimulationConfig,
    half_even,
    wall_to_utc,
    weighted,
)
from pipelines.simulator.world import World, foreign_currency

WEB, APP, STORE = 0, 1, 2
#: Minor units of foreign money for 100 of the tenant's.
FOREIGN_PRICE = 117
_STORE_SALES_A_MONTH = 0.4
_FREE_SHIPPING_FROM, _SHIPPING = 5_000, 395


@dataclass(frozen=True)
class Sales:
    """Sales and returns by index.

    Attributes:
        orders: order, t, customer, channel, store, campaign, web (index of the web order), percent, shipping,
            gross, discount, net, foreign, history, cancelled_at, fulfilled_at, returned_at, return_full,
            return_store; -1 for none; in order of t.
        lines: order, line_no, product, quantity, price, gross, discount, returned; in order of order and line_no.
    """

    orders: pl.DataFrame
    lines: pl.DataFrame


def build(
    config: SimulationConfig,
    world: World,
    people: People,
    catalogue: Catalogue,
    web: tuple[pl.DataFrame, pl.DataFrame],
    percent_off: Ints,
) -> Sales:
    """Bring all sales together, number them in order of time, price them and return some."""
    rng = config.rng("sales")
    kept = web[0].filter(pl.col("t") < config.end)
    online = kept.with_columns(web=pl.col("order"), store=pl.lit(-1, pl.Int64), history=pl.lit(0, pl.Int64))
    parts = [(online, web[1].filter(pl.col("order").is_in(kept["order"].to_list())))]
    parts.append(_with_baskets(rng, catalogue, _store_sales(config, rng, world, people)))
    parts.append(_with_baskets(rng, catalogue, _history(config, rng, world, people)))
    orders, lines = _numbered(parts)
    orders = orders.with_columns(percent=pl.Series(_percents(rng, orders, percent_off)))
    foreign = np.array([store.currency == foreign_currency(config) for store in world.stores] + [False])
    orders = orders.with_columns(foreign=pl.Series(foreign[orders["store"].to_numpy()]).cast(pl.Int64))
    lines = _priced(catalogue, orders, lines)
    orders = _totals(orders, lines)
    orders = _later(config, rng, world, orders, lines)
    return Sales(orders, _returned(orders, lines))


def _store_sales(config: SimulationConfig, rng: np.random.Generator, world: World, people: People) -> pl.DataFrame:
    count = int(rng.poisson(len(people.customer_ids) * _STORE_SALES_A_MONTH * config.days / 30))
    store = rng.integers(0, len(world.stores), count)
    day = rng.integers(0, config.days, count)
    wall = 9 * HOUR + (rng.beta(2.0, 1.8, count) * 9 * HOUR).astype(np.int64) // MILLISECOND * MILLISECOND
    t = np.zeros(count, dtype=np.int64)
    for index, place in enumerate(world.stores):
        here = store == index
        t[here] = wall_to_utc(day[here], wall[here], config.first, place.zone)
    customer = np.where(rng.random(count) < 0.6, weighted(rng, people.spending, count), -1)
    inside = (t >= config.start) & (t < config.end)
    return _orders(t, customer, np.full(count, STORE), store, 0).filter(pl.Series(inside))


def _history(config: SimulationConfig, rng: np.random.Generator, world: World, people: People) -> pl.DataFrame:
    """Orders of half the customers before the first day; some of these customers were gone long before the end."""
    customers = len(people.customer_ids)
    mean = np.minimum(people.spending, 12.0) * 1.6
    count = np.where(rng.random(customers) < 0.55, 1 + rng.poisson(mean), 0)
    customer = np.repeat(np.arange(customers, dtype=np.int64), count)
    gone = (rng.random(customers) < 0.3)[customer]
    newest = np.where(gone, 160, 0) * DAY + HOUR
    reach = config.history_days * DAY
    ago = newest + (rng.random(len(customer)) * np.maximum(reach - newest, 0)).astype(np.int64)
    in_store = rng.random(len(customer)) < 0.55
    store = np.where(in_store, rng.integers(0, len(world.stores), len(customer)), -1)
    t = (config.start - ago) // MILLISECOND * MILLISECOND
    return _orders(t, customer, np.where(in_store, STORE, WEB), store, 1).filter(pl.Series(ago <= reach))


def _orders(t: Ints, customer: Ints, channel: Ints, store: Ints, history: int) -> pl.DataFrame:
    return pl.DataFrame(
        {"order": np.arange(len(t), dtype=np.int64), "t": t, "customer": customer, "channel": channel, "store": store},
        schema=dict.fromkeys(("order", "t", "customer", "channel", "store"), pl.Int64()),
    ).with_columns(campaign=pl.lit(-1, pl.Int64), web=pl.lit(-1, pl.Int64), history=pl.lit(history, pl.Int64))


def _with_baskets(
    rng: np.random.Generator, catalogue: Catalogue, orders: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    size = np.minimum(rng.geometric(0.5, len(orders)), 8)
    product = catalogue.popular(rng, int(size.sum()))
    lines = pl.DataFrame(
        {
            "order": np.repeat(orders["order"].to_numpy(), size),
            "product": product,
            "quantity": catalogue.quantity(rng, product),
        }
    )
    return orders, lines.group_by("order", "product").agg(pl.col("quantity").sum())


def _numbered(parts: list[tuple[pl.DataFrame, pl.DataFrame]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One numbering of the orders of all parts, in order of time."""
    columns = ["order", "t", "customer", "channel", "store", "campaign", "web", "history"]
    orders = pl.concat([part.select(columns).with_columns(part=pl.lit(n)) for n, (part, _) in enumerate(parts)])
    orders = orders.sort("t", "part", "order").rename({"order": "old"}).with_row_index("order")
    orders = orders.cast({"order": pl.Int64})
    lines = pl.concat(
        [
            rows.select(old="order", product="product", quantity="quantity", part=pl.lit(n))
            for n, (_, rows) in enumerate(parts)
        ]
    )
    lines = lines.join(orders.select("part", "old", "order"), on=["part", "old"]).sort("order", "product")
    number = pl.int_range(pl.len()).over("order").cast(pl.Int64) + 1
    return orders.drop("part", "old"), lines.select("order", number.alias("line_no"), "product", "quantity")


def _percents(rng: np.random.Generator, orders: pl.DataFrame, percent_off: Ints) -> Ints:
    """Discount of each order: its campaign's, or now and then a welcome coupon."""
    campaign = orders["campaign"].to_numpy()
    welcome = np.where(rng.random(len(orders)) < 0.08, 10, 0)
    percents: Ints = np.where(campaign >= 0, percent_off[np.maximum(campaign, 0)], welcome)
    return percents


def _priced(catalogue: Catalogue, orders: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    order = lines["order"].to_numpy()
    price = catalogue.price(lines["product"].to_numpy(), orders["t"].to_numpy()[order])
    price = np.where(orders["foreign"].to_numpy()[order] == 1, price * FOREIGN_PRICE // 100, price)
    gross = half_even(lines["quantity"].to_numpy() * price)
    discount = gross * orders["percent"].to_numpy()[order] // 100
    return lines.with_columns(price=pl.Series(price), gross=pl.Series(gross), discount=pl.Series(discount))


def _totals(orders: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    sums = lines.group_by("order").agg(pl.col("gross").sum(), pl.col("discount").sum())
    goods = pl.col("gross") - pl.col("discount")
    shipped = (pl.col("channel") != STORE) & (goods < _FREE_SHIPPING_FROM)
    joined = orders.join(sums, on="order", how="left", maintain_order="left")
    return joined.with_columns(shipping=pl.when(shipped).then(_SHIPPING).otherwise(0).cast(pl.Int64)).with_columns(
        net=goods + pl.col("shipping")
    )


def _later(
    config: SimulationConfig, rng: np.random.Generator, world: World, orders: pl.DataFrame, lines: pl.DataFrame
) -> pl.DataFrame:
    """What happens to orders afterwards: fulfilment, cancellation, a return; only what happens before the end."""
    count = len(orders)
    t = orders["t"].to_numpy()
    online = (orders["channel"].to_numpy() != STORE) & (orders["history"].to_numpy() == 0)
    cancelled = _instant(config, t, online & (rng.random(count) < 0.01), HOUR, 3 * HOUR, rng)
    waits = online & (cancelled < 0) & (rng.random(count) < 0.35)
    fulfilled = _instant(config, t, waits, 4 * HOUR, 40 * HOUR, rng)
    goes_back = (cancelled < 0) & (rng.random(count) < 0.08)
    returned = _instant(config, t, goes_back, 2 * DAY, 25 * DAY, rng)
    one_line = np.bincount(lines["order"].to_numpy(), minlength=count) == 1
    full = one_line | (rng.random(count) < 0.6)
    elsewhere = np.where(rng.random(count) < 0.4, rng.integers(0, 2, count), -1)
    store = orders["store"].to_numpy()
    return orders.with_columns(
        cancelled_at=pl.Series(cancelled),
        fulfilled_at=pl.Series(fulfilled),
        returned_at=pl.Series(returned),
        return_full=pl.Series(full & (returned >= 0)),
        return_store=pl.Series(np.where(store >= 0, store, elsewhere)),
    )


def _instant(config: SimulationConfig, t: Ints, chosen: Flags, least: int, most: int, rng: np.random.Generator) -> Ints:
    wait: Floats = least + rng.random(len(t)) * (most - least)
    at = t + wait.astype(np.int64) // MILLISECOND * MILLISECOND
    return np.where(chosen & (at < config.end), at, -1)


def _returned(orders: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Mark the lines that come back: all of them, or the first."""
    order = lines["order"].to_numpy()
    back = (orders["returned_at"].to_numpy() >= 0)[order]
    full = orders["return_full"].to_numpy()[order]
    return lines.with_columns(returned=pl.Series(back & (full | (lines["line_no"].to_numpy() == 1))))
