"""The event log as rows of customer_events and identity_links."""

from __future__ import annotations

import numpy as np
import polars as pl

from pipelines.simulator import log
from pipelines.simulator.campaigns import Campaigns
from pipelines.simulator.catalogue import Catalogue
from pipelines.simulator.people import People
from pipelines.simulator.sales import Sales
from pipelines.simulator.settings import Ints, SimulationConfig, as_timestamps, gather
from pipelines.simulator.transactions import order_ids, quantity_text
from pipelines.simulator.world import ONLINE


def rows(
    config: SimulationConfig,
    people: People,
    catalogue: Catalogue,
    campaigns: Campaigns,
    sales: Sales,
    events: pl.DataFrame,
) -> pl.DataFrame:
    """customer_events in order of time, from the log."""
    index = {column: events[column].fill_null(-1).to_numpy() for column in log.COLUMNS}
    sale, order_products = _orders(config, catalogue, sales, index["order"])
    name, session = index["name"], index["session"]
    in_products = np.isin(name, (log.ADDED, log.REMOVED))
    products = _products(config, catalogue, events, in_products, gather(order_products, sale))
    value = np.where(sale >= 0, np.r_[sales.orders["net"].to_numpy(), -1][sale], index["value"])
    alone = np.isin(name, (log.VIEWED, log.WISHED, log.UNWISHED, log.ALERT_REQUESTED))
    viewed = gather(catalogue.ids, np.where(alone, index["product"], -1))
    return pl.DataFrame(
        {
            "external_id": "ev-" + events["event"].cast(pl.String).str.zfill(9),
            "event_name": gather(pl.Series(log.NAMES), name),
            "occurred_at": as_timestamps(index["t"]),
            "customer_id": gather(people.customer_ids, index["customer"]),
            "flockr_vid": gather(people.visitor_ids, index["visitor"]),
            "session_id": _numbers("s-", session),
            "channel": gather(pl.Series(log.CHANNELS), index["channel"]),
            "outlet_id": _outlets(session),
            "campaign_id": gather(campaigns.ids, index["campaign"]),
            "link_id": gather(campaigns.link_ids, index["link"]),
            "product_id": viewed,
            "products": products,
            "cart_id": _numbers("c-", index["cart"]),
            "checkout_id": _numbers("co-", index["checkout"]),
            "order_id": gather(order_ids(sales), sale),
            "value_minor": pl.Series(value).set(pl.Series(value < 0), None),
            "currency": gather(pl.Series([config.currency]), np.where(in_products | (value >= 0), 0, -1)),
            "url_path": "/p/" + viewed,
            **_codes(index),
            "step": events["step"],
        }
    )


def _outlets(session: Ints) -> pl.Series:
    """A few shop versions name the web shop as the place; the rest leave it to the reader."""
    return gather(pl.Series([ONLINE]), np.where((session >= 0) & (session % 20 == 0), 0, -1))


def _codes(index: dict[str, Ints]) -> dict[str, pl.Series]:
    """Columns whose log value is a code or a number behind a prefix."""
    return {
        "resolution_event": gather(pl.Series(log.RESOLUTIONS), index["resolution"]),
        "device_type": gather(pl.Series(log.DEVICES), index["device"]),
        "agent_class": gather(pl.Series(log.AGENTS), index["agent"]),
        "message_ref": _numbers("msg-", index["message"]),
        "failure_code": gather(pl.Series(log.FAILURES), index["failure"]),
    }


def identity_links(config: SimulationConfig, people: People, made: pl.DataFrame) -> pl.DataFrame:
    """Every link: older than the first day, replaced ones, and those of sign-ins in the days."""
    before = np.flatnonzero(people.linked_before >= 0)
    visitor, customer, t = people.earlier_links
    inside = made.filter(pl.col("t") < config.end)
    resolution = np.r_[np.zeros(len(before) + len(visitor), dtype=np.int64), inside["resolution"].to_numpy()]
    at = np.r_[people.linked_before[before], t, inside["t"].to_numpy()]
    return pl.DataFrame(
        {
            "flockr_vid": gather(people.visitor_ids, np.r_[before, visitor, inside["visitor"].to_numpy()]),
            "customer_id": gather(
                people.customer_ids, np.r_[people.customer_of[before], customer, inside["customer"].to_numpy()]
            ),
            "resolution_event": gather(pl.Series(log.RESOLUTIONS), resolution),
            "occurred_at": as_timestamps(at),
        }
    ).sort("occurred_at", "flockr_vid", "customer_id")


def _numbers(prefix: str, numbers: Ints) -> pl.Series:
    series = pl.Series(numbers)
    return (prefix + series.cast(pl.String).str.zfill(7)).set(series < 0, None)


def _orders(config: SimulationConfig, catalogue: Catalogue, sales: Sales, order: Ints) -> tuple[Ints, pl.Series]:
    """Index of the sale that each event's web order became (-1 for none), and the products of each sale as JSON."""
    web = sales.orders.filter(pl.col("web") >= 0)
    numbers = web["web"].to_numpy()
    sale_of = np.full(max(int(numbers.max(initial=0)), int(order.max(initial=0))) + 1, -1, dtype=np.int64)
    sale_of[numbers] = web["order"].to_numpy()
    sale = np.where(order >= 0, sale_of[np.maximum(order, 0)], -1)
    lines = sales.lines.join(web.select("order"), on="order", how="semi", maintain_order="left")
    text = _product_text(config, catalogue, lines)
    grouped = lines.select("order", text=text).group_by("order", maintain_order=True).agg(pl.col("text").str.join(","))
    full = sales.orders.select("order").join(grouped, on="order", how="left", maintain_order="left")
    return sale, full.select(pl.concat_str(pl.lit("["), "text", pl.lit("]"))).to_series()


def _products(
    config: SimulationConfig, catalogue: Catalogue, events: pl.DataFrame, in_products: np.ndarray, ordered: pl.Series
) -> pl.Series:
    single = "[" + _product_text(config, catalogue, events) + "]"
    return single.set(pl.Series(~in_products), None).zip_with(ordered.is_null(), ordered)


def _product_text(config: SimulationConfig, catalogue: Catalogue, rows: pl.DataFrame) -> pl.Series:
    """One product as JSON for each row with product, quantity and price; null where there is none."""
    product = gather(catalogue.ids, rows["product"].fill_null(-1).to_numpy())
    text = pl.concat_str(
        pl.lit('{"product_id":"'),
        product,
        pl.lit('","quantity":'),
        quantity_text(pl.col("quantity")),
        pl.lit(',"unit_price_minor":'),
        pl.col("price"),
        pl.lit(f',"currency":"{config.currency}"}}'),
    )
    return rows.select(text).to_series()
