"""The true answers, computed from the simulator's own log and sales with plain code, never with the pipeline's stages.

Every table is sorted. Instants are UTC timestamps, money is in minor units, quantities are thousandths.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
import polars as pl

from pipelines.simulator import carts_truth, log
from pipelines.simulator.campaigns import Campaigns
from pipelines.simulator.catalogue import Catalogue
from pipelines.simulator.people import People
from pipelines.simulator.sales import Sales
from pipelines.simulator.settings import DAY, Ints, SimulationConfig, gather
from pipelines.simulator.transactions import order_ids

_KINDS = {
    log.ADDED: "add",
    log.REMOVED: "remove",
    log.CART_VIEWED: "view",
    log.CHECKOUT_STARTED: "checkout",
    log.ORDER_COMPLETED: "order",
}
_TIME = pl.Datetime("us", "UTC")
_LAPSE_AFTER, _YEAR = 180 * DAY, 365 * DAY


def visitor_orders(config: SimulationConfig, people: People, sales: Sales, links: pl.DataFrame) -> dict[int, list[int]]:
    """Instants of each visitor's orders: of the customer linked at that instant, and own ones of a guest.

    Orders from before the first day are left out: no cart is that old.
    """
    valid = sales.orders.filter(pl.col("cancelled_at") < 0, pl.col("t") >= config.start)
    linked: dict[int, list[tuple[int, int]]] = {}
    for visitor, customer, t in links.sort("t").select("visitor", "customer", "t").iter_rows():
        linked.setdefault(visitor, []).append((t, customer))
    by_customer: dict[int, list[int]] = {}
    for customer, t in valid.filter(pl.col("customer") >= 0).select("customer", "t").iter_rows():
        by_customer.setdefault(customer, []).append(t)
    orders: dict[int, list[int]] = {}
    for visitor, history in linked.items():
        for place, (since, customer) in enumerate(history):
            until = history[place + 1][0] if place + 1 < len(history) else config.end
            orders.setdefault(visitor, []).extend(t for t in by_customer.get(customer, ()) if since < t <= until)
    return orders


def all_links(config: SimulationConfig, people: People, made: pl.DataFrame) -> pl.DataFrame:
    """visitor, customer, t of every identity link."""
    before = np.flatnonzero(people.linked_before >= 0)
    visitor, customer, t = people.earlier_links
    inside = made.filter(pl.col("t") < config.end)
    return pl.DataFrame(
        {
            "visitor": np.r_[before, visitor, inside["visitor"].to_numpy()],
            "customer": np.r_[people.customer_of[before], customer, inside["customer"].to_numpy()],
            "t": np.r_[people.linked_before[before], t, inside["t"].to_numpy()],
        }
    )


def carts(
    config: SimulationConfig, people: People, catalogue: Catalogue, events: pl.DataFrame, orders: dict[int, list[int]]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Abandonments of every cart, and the carts that hold something at the end."""
    abandoned: list[dict[str, Any]] = []
    left: list[dict[str, Any]] = []
    own = _own_orders(events)
    for visitor, cart, steps in _cart_steps(catalogue, events):
        instants = {*orders.get(visitor, ()), *own.get(visitor, ())}
        found, open_cart = carts_truth.walk(steps, instants, config.end)
        who = {"flockr_vid": people.visitor_ids[visitor], "cart_key": cart}
        abandoned += [{**who, **vars(one), "products": json.dumps(one.products)} for one in found]
        if open_cart is not None:
            left.append({**who, **vars(open_cart), "products": json.dumps(open_cart.products)})
    keys = {"flockr_vid": pl.String, "cart_key": pl.String, "t0": _TIME}
    value = {"value_minor": pl.Int64, "products": pl.String}
    ended = {"ended_at": _TIME, "ended_by": pl.String}
    first = pl.DataFrame(abandoned, schema={**keys, "entered_at": _TIME, **value, **ended})
    second = pl.DataFrame(left, schema={**keys, **value})
    return first.sort("flockr_vid", "entered_at", "cart_key"), second.sort("flockr_vid", "cart_key")


def abandoners(abandonments: pl.DataFrame) -> pl.DataFrame:
    """Visitors with at least one abandoned cart: flockr_vid, entered_at, ended_at of each stretch without a gap."""
    rows = []
    ordered = abandonments.sort("flockr_vid", "entered_at").select("flockr_vid", "entered_at", "ended_at").iter_rows()
    for visitor, stretches in groupby(ordered, key=lambda row: row[0]):
        begin, end, first = None, None, True
        for _, entered, ended in stretches:
            if not first and (end is None or entered < end):
                end = None if end is None or ended is None else max(end, ended)
                continue
            if not first:
                rows.append((visitor, begin, end))
            begin, end, first = entered, ended, False
        rows.append((visitor, begin, end))
    return pl.DataFrame(rows, schema={"flockr_vid": pl.String, "entered_at": _TIME, "ended_at": _TIME}, orient="row")


def _own_orders(events: pl.DataFrame) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for visitor, t in events.filter(pl.col("name") == log.ORDER_COMPLETED).select("visitor", "t").iter_rows():
        found.setdefault(visitor, []).append(t)
    return found


def _cart_steps(catalogue: Catalogue, events: pl.DataFrame) -> Iterator[tuple[int, str, list[carts_truth.Step]]]:
    """Steps of each cart in order of time: the cart id names it, else the session."""
    cart = pl.concat_str(pl.lit("c-"), pl.col("cart").cast(pl.String).str.zfill(7))
    session = pl.concat_str(pl.lit("s-"), pl.col("session").cast(pl.String).str.zfill(7))
    rows = events.filter(pl.col("name").is_in(list(_KINDS))).select(
        "visitor", cart.fill_null(session).alias("cart"), "t", "name", "product", "quantity", "price"
    )
    ids = catalogue.ids.to_list()
    for (visitor, key), group in groupby(rows.sort("visitor", "cart", "t").iter_rows(), key=lambda row: row[:2]):
        steps = [
            carts_truth.Step(t, _KINDS[name], None if product is None else ids[product], quantity or 0, price or 0)
            for _, _, t, name, product, quantity, price in group
        ]
        yield visitor, key, steps


def customer_orders(config: SimulationConfig, people: People, sales: Sales) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Customers lapsed at the end, and every stretch of at least two orders in 365 times 24 hours."""
    lapsed, repeats = [], []
    rows = sales.orders.filter(pl.col("customer") >= 0, pl.col("cancelled_at") < 0).with_columns(
        undone=pl.when(pl.col("return_full")).then("returned_at")
    )
    ordered = rows.sort("customer", "t").select("customer", "t", "undone").iter_rows()
    for customer, group in groupby(ordered, key=lambda row: row[0]):
        orders = [(t, undone) for _, t, undone in group]
        name = people.customer_ids[customer]
        lapse = _lapse(orders, config.end)
        if lapse is not None:
            lapsed.append((name, *lapse))
        repeats += [(name, entered, ended) for entered, ended in _repeat(orders, config.end)]
    first = {"customer_id": pl.String, "orders": pl.Int64, "last_order_at": _TIME, "median_gap_us": pl.Int64}
    return (
        pl.DataFrame(lapsed, schema={**first, "entered_at": _TIME, "any_returned": pl.Boolean}, orient="row"),
        pl.DataFrame(repeats, schema={"customer_id": pl.String, "entered_at": _TIME, "ended_at": _TIME}, orient="row"),
    )


def _lapse(orders: list[tuple[int, int | None]], end: int) -> tuple[int, int, int | None, int, bool] | None:
    """Orders, last order, median gap, entry instant, whether one was returned; None when not lapsed at the end."""
    kept = [t for t, undone in orders if undone is None]
    if not kept:
        return None
    gaps = sorted(later - earlier for earlier, later in zip(kept, kept[1:], strict=False))
    middle = len(gaps) // 2
    median = None if not gaps else gaps[middle] if len(gaps) % 2 else (gaps[middle - 1] + gaps[middle]) // 2
    entered = kept[-1] + max(_LAPSE_AFTER, 3 * (median or 0))
    if entered >= end:
        return None
    return len(kept), kept[-1], median, entered, len(kept) < len(orders)


def _repeat(orders: list[tuple[int, int | None]], end: int) -> list[tuple[int, int | None]]:
    """Stretches in which at least two orders stand: an order counts from its instant until a year later or its return."""
    changes = []
    for t, undone in orders:
        gone = t + _YEAR if undone is None else min(t + _YEAR, undone)
        changes += [(t, 1), (gone, -1)]
    stretches: list[tuple[int, int | None]] = []
    standing, since = 0, None
    # Arrivals before departures at one instant: a year old order still stands at its very anniversary.
    for t, change in sorted(changes, key=lambda one: (one[0], -one[1])):
        if t >= end:
            break
        standing += change
        if standing >= 2 and since is None:
            since = t
        elif standing < 2 and since is not None:
            stretches.append((since, t))
            since = None
    return stretches + ([(since, None)] if since is not None else [])


def units_sold(config: SimulationConfig, catalogue: Catalogue, sales: Sales) -> pl.DataFrame:
    """date, product_id, units_sold and units_returned in thousandths, sale lines; days simulated only."""
    columns = ["order", "t", "cancelled_at", "returned_at"]
    lines = sales.lines.join(sales.orders.select(columns), on="order").filter(pl.col("cancelled_at") < 0)
    sold = lines.filter(pl.col("t") >= config.start)
    back = lines.filter(pl.col("returned"), pl.col("returned_at") >= config.start)
    total = np.zeros((3, config.days, len(catalogue.ids)), dtype=np.int64)
    for kind, rows, instant in ((0, sold, "t"), (1, back, "returned_at")):
        day, product = config.day_numbers(rows[instant].to_numpy()), rows["product"].to_numpy()
        np.add.at(total[kind], (day, product), rows["quantity"].to_numpy())
        if kind == 0:
            np.add.at(total[2], (day, product), 1)
    day, product = np.nonzero(total.any(axis=0))
    dates = pl.Series([config.date_of(number) for number in range(config.days)], dtype=pl.Date)
    return pl.DataFrame(
        {
            "date": gather(dates, day.astype(np.int64)),
            "product_id": gather(catalogue.ids, product.astype(np.int64)),
            "units_sold": total[0][day, product],
            "units_returned": total[1][day, product],
            "lines_sold": total[2][day, product],
        }
    ).sort("date", "product_id")


def link_clicks(config: SimulationConfig, campaigns: Campaigns, events: pl.DataFrame) -> pl.DataFrame:
    """date, link_id, clicks and distinct clickers of people, clicks of bots."""
    counted: dict[tuple[int, int], tuple[list[int], set[int]]] = {}
    clicks = events.filter(pl.col("name") == log.CLICKED)
    days: Ints = config.day_numbers(clicks["t"].to_numpy())
    rows = zip(days.tolist(), *(clicks[name].to_list() for name in ("link", "agent", "customer")), strict=True)
    for day, link, agent, customer in rows:
        numbers, people = counted.setdefault((day, link), ([0, 0], set()))
        numbers[agent] += 1
        if agent == 0:
            people.add(customer)
    found = [
        (config.date_of(day), campaigns.link_ids[link], numbers[0], len(people), numbers[1])
        for (day, link), (numbers, people) in sorted(counted.items())
    ]
    names = ("clicks", "unique_clickers", "bot_clicks")
    schema = {"date": pl.Date, "link_id": pl.String, **dict.fromkeys(names, pl.Int64)}
    return pl.DataFrame(found, schema=schema, orient="row")


def orders(people: People, sales: Sales) -> pl.DataFrame:
    """order_id, customer_id, occurred_at, net_minor, counts (false when cancelled), returned_at of a full return."""
    ids = order_ids(sales)
    frame = sales.orders.select(
        customer_id=gather(people.customer_ids, sales.orders["customer"].to_numpy()),
        occurred_at=pl.col("t").cast(_TIME),
        net_minor="net",
        counts=pl.col("cancelled_at") < 0,
        fully_returned_at=pl.when(pl.col("return_full")).then("returned_at").cast(_TIME),
    )
    return frame.insert_column(0, ids.alias("order_id"))
