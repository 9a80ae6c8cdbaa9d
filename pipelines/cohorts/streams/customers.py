"""Rows of customers' streams over all time: orders and their money, clicks, referrals, opt-outs.

A row belongs to the customer that its id stands for, so that a merge ends it for one and begins it for the other.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from pipelines.calendar import Day
from pipelines.cohorts import orders
from pipelines.cohorts.cart_state import INF
from pipelines.cohorts.streams.groups import with_groups
from pipelines.config import Tenant
from pipelines.entities.merges import over_time
from pipelines.signals.demand import micros
from pipelines.storage.lake import Lake

TABLES = {
    "order": ("customer_orders", "customer_merges"),
    "spend": ("customer_orders", "customer_merges"),
    "sold": ("customer_orders", "customer_merges"),
    "returned": ("customer_orders", "customer_merges"),
    "campaign_order": ("customer_orders", "customer_merges", "campaigns"),
    "link_click": ("link_clicks", "customer_merges"),
    "referral_accepted": ("referral_events", "customer_merges"),
    "referral_flagged": ("referral_events", "customer_merges"),
    "opt_out": ("opt_outs", "customer_merges"),
}
_ORDER_FIELDS = ("side", "channel", "outlet_id", "discounted", "net_minor")
#: Fields that have several values for one row, so that a row is repeated for each of them.
REPEATING = {"group_id"}
_SPAN = ["subject", "at", "since", "until"]


class Customers:
    """Customers' streams of a tenant up to the end of a day."""

    def __init__(self, tenant: Tenant, last: Day) -> None:
        """Read what every stream needs on first use."""
        self.tenant, self.last = tenant, last
        self.merges = tenant.lake.read("customer_merges")
        self._orders: pl.DataFrame | None = None
        self._counted: pl.DataFrame | None = None

    @property
    def orders(self) -> pl.DataFrame:
        """``customer_orders`` before the end of the last day, with ``at`` in microseconds."""
        if self._orders is None:
            self._orders = order_rows(self.tenant.lake, self.last)
        return self._orders

    @property
    def counted(self) -> pl.DataFrame:
        """What ``orders.counted_orders`` says of them."""
        if self._counted is None:
            self._counted = orders.counted_orders(self.orders, self.merges)
        return self._counted

    def rows(self, stream: str, fields: Iterable[str]) -> pl.DataFrame:
        """All rows of a stream.

        Returns:
            ``subject`` String, ``at``, ``since`` and ``until`` Int64 microseconds, ``weight`` Int64 (always 1), the
            causes ``came`` and ``went`` (as in ``orders``), and the fields.
        """
        names = sorted(fields)
        found = _READERS[stream](self)
        if "group_id" in names:
            found = with_groups(self.tenant.lake, found)
        known = found.with_columns(pl.lit(1, dtype=pl.Int64).alias("weight"))
        for name, cause in (("came", orders.ORDER), ("went", orders.RETURN)):
            if name not in known.columns:
                known = known.with_columns(pl.lit(cause, dtype=pl.Int32).alias(name))
        kept = known.filter(pl.col("since") < micros(self.last.end))
        return kept.select(*_SPAN, "weight", "came", "went", *names)


def order_rows(lake: Lake, last: Day) -> pl.DataFrame:
    """``customer_orders`` before the end of a day, the columns that cohorts need, with ``at`` in microseconds."""
    days = [day for day in lake.days("customer_orders") if day <= last.date]
    names = [*orders.COLUMNS, *(name for name in _ORDER_FIELDS if name != "net_minor"), "product_ids"]
    rows = lake.scan("customer_orders", days).select(names).filter(pl.col("occurred_at") < last.end)
    return rows.with_columns(pl.col("occurred_at").dt.epoch("us").alias("at")).drop("occurred_at").collect()


def _orders(source: Customers) -> pl.DataFrame:
    details = source.orders.select("order_id", *_ORDER_FIELDS)
    return source.counted.join(details, on="order_id", how="left", maintain_order="left")


def _money(source: Customers) -> pl.DataFrame:
    """Rows of sales and returns, each anchored at its sale's ``at``; in the tenant's currency only."""
    sales = source.orders.filter(pl.col("kind") == "sale").select(
        pl.col("order_id").alias("sale_id"), "customer_id", pl.col("at").alias("sold_at")
    )
    rows = source.orders.drop("customer_id").join(sales, on="sale_id")
    rows = rows.filter(pl.col("customer_id").is_not_null() & (pl.col("currency") == source.tenant.config.currency))
    spans = rows.select(
        pl.col("customer_id").alias("subject"),
        pl.col("sold_at").alias("at"),
        pl.max_horizontal("sold_at", pl.col("at")).alias("since"),
        pl.lit(INF, dtype=pl.Int64).alias("until"),
        "kind",
        "net_minor",
        "order_id",
    )
    return _merged(spans, source.merges)


def _sold(source: Customers) -> pl.DataFrame:
    return _money(source).filter(pl.col("kind") == "sale")


def _returned(source: Customers) -> pl.DataFrame:
    return _money(source).filter(pl.col("kind") == "return").with_columns(-pl.col("net_minor"))


def _merged(rows: pl.DataFrame, merges: pl.DataFrame) -> pl.DataFrame:
    pieces = over_time(rows, merges, "subject")
    return pieces.with_columns(
        pl.when("moved_in").then(orders.MERGE).otherwise(orders.ORDER).alias("came"),
        pl.when("moved_out").then(orders.MERGE).otherwise(orders.RETURN).alias("went"),
    )


def _happened(rows: pl.DataFrame, source: Customers) -> pl.DataFrame:
    """Rows with ``subject``, ``at`` and maybe ``until`` that count from their own instant on."""
    if "until" not in rows.columns:
        rows = rows.with_columns(pl.lit(INF, dtype=pl.Int64).alias("until"))
    spans = rows.filter(pl.col("subject").is_not_null()).with_columns(pl.col("at").alias("since"))
    return _merged(spans.filter(pl.col("until") > pl.col("since")), source.merges)


def _link_clicks(source: Customers) -> pl.DataFrame:
    lake = source.tenant.lake
    days = [day for day in lake.days("link_clicks") if day <= source.last.date]
    rows = lake.scan("link_clicks", days).select(
        pl.col("customer_id").alias("subject"), _micros("occurred_at").alias("at"), "campaign_id", "link_id", "event_id"
    )
    return _happened(rows.collect(), source)


def _campaign_orders(source: Customers) -> pl.DataFrame:
    products = _campaign_products(source.tenant.lake)
    bought = source.orders.filter(pl.col("kind") == "sale").select(
        "order_id", pl.col("product_ids").str.json_decode(pl.List(pl.String)).alias("product_id")
    )
    pairs = bought.explode("product_id").join(products, on="product_id").select("order_id", "campaign_id").unique()
    return source.counted.join(pairs, on="order_id").sort("subject", "at", "order_id", "since", "campaign_id")


def _campaign_products(lake: Lake) -> pl.DataFrame:
    """``campaign_id``, ``product_id``: what each campaign is about, of what it excludes nothing."""
    entry = pl.Struct({"product_id": pl.String(), "role": pl.String()})
    rows = lake.scan("campaigns").select(pl.col("external_id").alias("campaign_id"), "products").drop_nulls().collect()
    opened = (
        rows.with_columns(pl.col("products").str.json_decode(pl.List(entry))).explode("products").unnest("products")
    )
    kept = opened.filter(pl.col("product_id").is_not_null() & pl.col("role").ne_missing("excluded"))
    return kept.select("campaign_id", "product_id").unique()


def _referrals(source: Customers, name: str) -> pl.DataFrame:
    rows = source.tenant.lake.scan("referral_events").filter(pl.col("name") == name)
    return rows.select(
        pl.col("referrer_id").alias("subject"), _micros("occurred_at").alias("at"), "campaign_id", "entity_id"
    ).collect()


def _accepted(source: Customers) -> pl.DataFrame:
    return _happened(_referrals(source, "referral.accepted").unique(), source)


def _flagged(source: Customers) -> pl.DataFrame:
    """Flags, each until the first acceptance or rejection of the same referral after it."""
    closed = pl.concat([_referrals(source, f"referral.{name}") for name in ("accepted", "rejected")])
    ends = closed.select("entity_id", pl.col("at").alias("until")).unique().sort("until")
    flags = _referrals(source, "referral.flagged").unique().sort("at")
    ended = flags.join_asof(
        ends, left_on="at", right_on="until", by="entity_id", strategy="forward", coalesce=False, check_sortedness=False
    )
    return _happened(ended.with_columns(pl.col("until").fill_null(INF)), source)


def _opt_outs(source: Customers) -> pl.DataFrame:
    """Each opt-out of a channel as a whole, until the customer's next word about the channel."""
    said = source.tenant.lake.scan("opt_outs").filter(pl.col("scope").ne_missing("campaign"))
    rows = said.select(
        pl.col("customer_id").alias("subject"),
        _micros("occurred_at").alias("at"),
        "channel",
        "reason",
        "action",
        "external_id",
    ).filter(pl.col("subject").is_not_null())
    ordered = rows.collect().sort("subject", "channel", "at", "external_id")
    same = (pl.col("subject") == pl.col("subject").shift(-1)) & (pl.col("channel") == pl.col("channel").shift(-1))
    ended = ordered.with_columns(
        pl.when(same.fill_null(False)).then(pl.col("at").shift(-1)).otherwise(INF).alias("until")
    )
    return _happened(ended.filter(pl.col("action") == "opt_out"), source)


def _micros(column: str) -> pl.Expr:
    return pl.col(column).dt.epoch("us")


_READERS = {
    "order": _orders,
    "spend": _money,
    "sold": _sold,
    "returned": _returned,
    "link_click": _link_clicks,
    "campaign_order": _campaign_orders,
    "referral_accepted": _accepted,
    "referral_flagged": _flagged,
    "opt_out": _opt_outs,
}
