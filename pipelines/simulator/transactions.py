"""Sales and returns as rows of the transactions entity: first versions, later versions, and returns."""

from __future__ import annotations

import numpy as np
import polars as pl

from pipelines.simulator.catalogue import CATEGORIES, Catalogue
from pipelines.simulator.people import People
from pipelines.simulator.sales import STORE, Sales
from pipelines.simulator.settings import SimulationConfig, as_timestamps, gather, numbered
from pipelines.simulator.world import World, foreign_currency

_CHANNELS = ("web", "app", "store")
_PAYMENTS = ("card", "wallet", "cash")


def order_ids(sales: Sales) -> pl.Series:
    """External id of each sale by index; the return of a sale has R in place of T."""
    return numbered("T-", len(sales.orders), 7)


def quantity_text(quantity: pl.Expr) -> pl.Expr:
    """Thousandths as a decimal number, without a fraction where whole."""
    sign = pl.when(quantity < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    whole = (quantity.abs() // 1_000).cast(pl.String)
    rest = quantity.abs() % 1_000
    fraction = pl.lit(".") + rest.cast(pl.String).str.zfill(3)
    return sign + whole + pl.when(rest == 0).then(pl.lit("")).otherwise(fraction)


def rows(
    config: SimulationConfig, world: World, people: People, catalogue: Catalogue, campaign_ids: pl.Series, sales: Sales
) -> pl.DataFrame:
    """All versions of all transactions, in order of updated_at."""
    sold = _sales(config, world, people, catalogue, campaign_ids, sales)
    returns = _returns(config, world, people, catalogue, sales)
    orders = sales.orders
    ids = order_ids(sales)
    fulfilled = orders.filter(pl.col("fulfilled_at") >= 0)
    patches = pl.DataFrame(
        {
            "external_id": gather(ids, fulfilled["order"].to_numpy()),
            "op": pl.Series(["patch"] * len(fulfilled), dtype=pl.String),
            "updated_at": as_timestamps(fulfilled["fulfilled_at"].to_numpy()),
            "occurred_at": as_timestamps(fulfilled["t"].to_numpy()),
            "status": pl.Series(["fulfilled"] * len(fulfilled), dtype=pl.String),
        }
    )
    cancelled = _again(sold, orders["cancelled_at"].to_numpy(), "cancelled")
    partial = np.where(orders["return_full"].to_numpy(), -1, orders["returned_at"].to_numpy())
    returned = _again(sold, partial, "partially_returned")
    versions = pl.concat([sold, patches, cancelled, returned, returns], how="diagonal")
    return versions.sort("updated_at", "external_id", maintain_order=True)


def _again(sold: pl.DataFrame, at: np.ndarray, status: str) -> pl.DataFrame:
    """A whole later version of the sales for which ``at`` is an instant."""
    changed = sold.with_columns(updated_at=as_timestamps(at), status=pl.lit(status))
    return changed.filter(pl.col("updated_at").is_not_null())


def _sales(
    config: SimulationConfig, world: World, people: People, catalogue: Catalogue, campaign_ids: pl.Series, sales: Sales
) -> pl.DataFrame:
    orders = sales.orders
    campaign = gather(campaign_ids, orders["campaign"].to_numpy())
    in_store = orders["channel"].to_numpy() == STORE
    paid = ~in_store & (orders["history"].to_numpy() == 0)
    coupon = pl.when(pl.col("campaign") >= 0).then(pl.lit('["LETTER"]')).otherwise(pl.lit('["WELCOME10"]'))
    frame = _header(config, world, people, orders, orders["t"].to_numpy(), orders["store"].to_numpy()).with_columns(
        external_id=order_ids(sales),
        type=pl.lit("sale"),
        status=gather(pl.Series(["completed", "fulfilled", "paid"]), np.where(in_store, 0, 1 + paid)),
        gross_minor=orders["gross"],
        discount_minor=orders["discount"],
        shipping_minor=orders["shipping"],
        net_minor=orders["net"],
        payment_method=gather(pl.Series(_PAYMENTS), orders["order"].to_numpy() % len(_PAYMENTS)),
        coupon_codes=orders.select(pl.when(pl.col("percent") > 0).then(coupon)).to_series(),
        campaign_ids='["' + campaign + '"]',
        lines=_lines(catalogue, sales.lines, 1),
    )
    return _ordered(frame)


def _returns(
    config: SimulationConfig, world: World, people: People, catalogue: Catalogue, sales: Sales
) -> pl.DataFrame:
    back = sales.orders.filter(pl.col("returned_at") >= 0)
    lines = sales.lines.filter(pl.col("returned"))
    sums = lines.group_by("order").agg(back_gross=pl.col("gross").sum(), back_discount=pl.col("discount").sum())
    back = back.join(sums, on="order", how="left", maintain_order="left")
    store = back["return_store"].to_numpy()
    ids = gather(order_ids(sales), back["order"].to_numpy())
    channel = np.where(store >= 0, STORE, back["channel"].to_numpy())
    frame = _header(config, world, people, back, back["returned_at"].to_numpy(), store).with_columns(
        external_id=ids.str.replace("T", "R", literal=True),
        original_transaction_id=ids,
        type=pl.lit("return"),
        status=pl.lit("completed"),
        channel=gather(pl.Series(_CHANNELS), channel),
        gross_minor=-back["back_gross"],
        discount_minor=-back["back_discount"],
        shipping_minor=pl.lit(0, pl.Int64),
        net_minor=back["back_discount"] - back["back_gross"],
        lines=_lines(catalogue, lines, -1),
    )
    return _ordered(frame)


def _header(
    config: SimulationConfig, world: World, people: People, orders: pl.DataFrame, t: np.ndarray, store: np.ndarray
) -> pl.DataFrame:
    """Columns that sales and returns share; stores state a business date, the web shop leaves it to the reader."""
    at = as_timestamps(t)
    dates = pl.Series([None] * len(orders), dtype=pl.Date)
    for index, place in enumerate(world.stores):
        dates = dates.zip_with(pl.Series(store != index), at.dt.convert_time_zone(place.zone.key).dt.date())
    money = pl.Series([config.currency, foreign_currency(config)])
    return pl.DataFrame(
        {
            "updated_at": at,
            "occurred_at": at,
            "business_date": dates,
            "customer_id": gather(people.customer_ids, orders["customer"].to_numpy()),
            "outlet_id": gather(pl.Series([place.outlet_id for place in world.stores]), store),
            "channel": gather(pl.Series(_CHANNELS), orders["channel"].to_numpy()),
            "currency": gather(money, orders["foreign"].to_numpy()),
            "tax_inclusive": pl.Series([True] * len(orders), dtype=pl.Boolean),
        }
    )


def _ordered(frame: pl.DataFrame) -> pl.DataFrame:
    """The id first, and the tax inside the net, a sixth of it, towards zero."""
    tax = pl.col("net_minor").sign() * (pl.col("net_minor").abs() // 6)
    return frame.with_columns(tax_minor=tax.cast(pl.Int64)).select("external_id", pl.exclude("external_id"))


def _lines(catalogue: Catalogue, lines: pl.DataFrame, sign: int) -> pl.Series:
    """Lines of each order as JSON, in order of the order; amounts and quantities times ``sign``."""
    category = gather(pl.Series(CATEGORIES), catalogue.category[lines["product"].to_numpy()])
    original = pl.concat_str(pl.lit(',"original_line_no":'), pl.col("line_no")) if sign < 0 else pl.lit("")
    text = pl.concat_str(
        pl.lit('{"line_no":'),
        (pl.int_range(pl.len()).over("order") + 1),
        pl.lit(',"product_id":"'),
        gather(catalogue.ids, lines["product"].to_numpy()),
        pl.lit('","quantity":'),
        quantity_text(pl.col("quantity") * sign),
        pl.lit(',"unit_price_minor":'),
        pl.col("price"),
        pl.lit(',"line_gross_minor":'),
        pl.col("gross") * sign,
        pl.lit(',"line_net_minor":'),
        (pl.col("gross") - pl.col("discount")) * sign,
        pl.lit(',"line_discount_minor":'),
        pl.col("discount") * sign,
        pl.lit(',"category":"'),
        category,
        pl.lit('"'),
        original,
        pl.lit("}"),
    )
    grouped = lines.select("order", text=text).group_by("order", maintain_order=True).agg(pl.col("text").str.join(","))
    return grouped.select(pl.concat_str(pl.lit("["), "text", pl.lit("]"))).to_series()
