"""The true answers, computed from the simulator's own log and sales with plain code, never with the pipeline's stages.

Every table is sorted. Instants are UTC timestamps, money is in minor units, quantities are thousandths.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import polars as pl

from pipelines.simulator import carts_truth, log
from pipelines.simulator.campaigns import Campaigns
from pipelines.simulator.catalogue import Catalogue
from pipelines.simulator.merges import Share, shares
from pipelines.simulator.people import People
from pipelines.simulator.sales import Sales
from pipelines.simulator.settings import DAY, Ints, SimulationConfig, gather
from pipelines.simulator.stock import Stock
from pipelines.simulator.transactions import order_ids

_KINDS = {
    log.ADDED: "add",
    log.REMOVED: "remove",
    log.CART_VIEWED: "view",
    log.CHECKOUT_STARTED: "checkout",
    log.ORDER_COMPLETED: "order",
}
_TIME = pl.Datetime("us", "UTC")
_LEFT = pl.Schema(
    {
        "flockr_vid": pl.String(),
        "cart_key": pl.String(),
        "t0": _TIME,
        "value_minor": pl.Int64(),
        "products": pl.String(),
    }
)
_ABANDONED = pl.Schema({**_LEFT, "entered_at": _TIME, "ended_at": _TIME, "ended_by": pl.String()})
_STRETCH = pl.Schema({"entered_at": _TIME, "ended_at": _TIME})
_LAPSE_AFTER, _YEAR = 180 * DAY, 365 * DAY


def answers(
    config: SimulationConfig,
    people: People,
    catalogue: Catalogue,
    campaigns: Campaigns,
    sales: Sales,
    stock: Stock,
    events: pl.DataFrame,
    made_links: pl.DataFrame,
) -> dict[str, pl.DataFrame]:
    """Every answer by name."""
    orders = visitor_orders(config, people, sales, all_links(config, people, made_links))
    cancelled = set(sales.orders.filter(pl.col("cancelled_at") >= 0, pl.col("web") >= 0)["web"])
    abandonments, open_carts = carts(config, people, catalogue, events, orders, cancelled)
    lapsed, repeats = customer_orders(config, people, sales)
    return {
        "cart_abandonments": abandonments,
        "cart_abandoners": abandoners(abandonments),
        "open_carts": open_carts,
        "lapsed_customers": lapsed,
        "repeat_purchasers": repeats,
        "orders": order_list(people, sales),
        "stock": stock.end_of_day,
        "units_sold": units_sold(config, catalogue, sales),
        "link_clicks": link_clicks(config, campaigns, events),
    }


def visitor_orders(config: SimulationConfig, people: People, sales: Sales, links: pl.DataFrame) -> dict[int, list[int]]:
    """Instants of each visitor's orders: of the customer linked at that instant, and own ones of a guest.

    Orders from before the first day are left out: no cart is that old.
    """
    valid = sales.orders.filter(pl.col("cancelled_at") < 0, pl.col("t") >= config.start)
    linked: dict[int, list[tuple[int, int]]] = {}
    for visitor, customer, t in links.sort("visitor", "t", "customer").select("visitor", "customer", "t").iter_rows():
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
    config: SimulationConfig,
    people: People,
    catalogue: Catalogue,
    events: pl.DataFrame,
    orders: dict[int, list[int]],
    cancelled: set[int],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Abandonments of every cart, and the carts that hold something at the end.

    ``orders`` are instants by visitor, ``cancelled`` the numbers of web orders that were cancelled later.
    """
    abandoned: list[dict[str, Any]] = []
    left: list[dict[str, Any]] = []
    own = _own_orders(events, cancelled)
    for visitor, cart, steps in _cart_steps(catalogue, events):
        instants = {*orders.get(visitor, ()), *own.get(visitor, ())}
        found, open_cart = carts_truth.walk(steps, instants, config.end)
        who = {"flockr_vid": people.visitor_ids[visitor], "cart_key": cart}
        abandoned += [{**who, **vars(one), "products": json.dumps(one.products)} for one in found]
        if open_cart is not None:
            left.append({**who, **vars(open_cart), "products": json.dumps(open_cart.products)})
    first, second = pl.DataFrame(abandoned, schema=_ABANDONED), pl.DataFrame(left, schema=_LEFT)
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
    return pl.DataFrame(rows, schema=pl.Schema({"flockr_vid": pl.String(), **_STRETCH}), orient="row")


def _own_orders(events: pl.DataFrame, cancelled: set[int]) -> dict[int, list[int]]:
    """Instants of each visitor's own Order Completed; a cancelled one ends the cart that it took, but no other."""
    found: dict[int, list[int]] = {}
    rows = events.filter(pl.col("name") == log.ORDER_COMPLETED).select("visitor", "t", "order")
    for visitor, t, order in rows.iter_rows():
        if order not in cancelled:
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
    for customer, orders in sorted(shares(ordered, people.merges).items()):
        name = people.customer_ids[customer]
        lapse = _lapse(orders, config.end)
        if lapse is not None:
            lapsed.append((name, *lapse))
        repeats += [(name, entered, ended) for entered, ended in _repeat(orders, config.end)]
    who = {"customer_id": pl.String()}
    last = {"orders": pl.Int64(), "last_order_at": _TIME, "median_gap_us": pl.Int64()}
    lapsed_schema = pl.Schema({**who, **last, "entered_at": _TIME})
    return (
        pl.DataFrame(lapsed, schema=lapsed_schema, orient="row"),
        pl.DataFrame(repeats, schema=pl.Schema({**who, **_STRETCH}), orient="row"),
    )


def _lapse(orders: list[Share], end: int) -> tuple[int, int, int | None, int] | None:
    """Orders, last order, median gap, entry instant; None when not lapsed at the end.

    Orders, whole returns and merges are gone through one by one: each can make somebody lapsed who was not, or no
    customer at all.
    """
    changes = sorted({came for _, came, _ in orders} | {gone for _, _, gone in orders if gone is not None})
    kept: list[int] = []
    median: int | None = None
    since: int | None = None
    for place, change in enumerate(changes):
        until = changes[place + 1] if place + 1 < len(changes) else end
        kept = [t for t, came, gone in orders if came <= change and (gone is None or gone > change)]
        if not kept:
            since = None
            continue
        median = _median([later - earlier for earlier, later in pairwise(kept)])
        begin = max(change, kept[-1] + max(_LAPSE_AFTER, 3 * (median or 0)))
        lasting = since is not None and begin == change
        since = since if lasting else begin if begin < until else None
    return None if since is None else (len(kept), kept[-1], median, since)


def _median(values: list[int]) -> int | None:
    """The middle value, the mean of the middle two rounded down where their number is even."""
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2 if ordered else None


def _repeat(orders: list[Share], end: int) -> list[tuple[int, int | None]]:
    """Stretches of at least two standing orders: one stands while it counts, and until a year after its instant."""
    changes = []
    for t, came, left in orders:
        gone = t + _YEAR if left is None else min(t + _YEAR, left)
        if came < gone:
            changes += [(came, 1), (gone, -1)]
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
            stretches += [(since, t)] if t > since else []
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


def order_list(people: People, sales: Sales) -> pl.DataFrame:
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
