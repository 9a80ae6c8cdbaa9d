"""The steps of the facts stage: events, orders and products of a day rolled up for every window that comes later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from pipelines.calendar import local_date
from pipelines.config import Tenant
from pipelines.entities.dated import current
from pipelines.entities.identity import link_spans, with_visitor
from pipelines.entities.merges import holder_at
from pipelines.facts import clicks, places, purchases, stock, visitor_orders, visitors
from pipelines.facts import events as event_rollups
from pipelines.facts import orders as order_rollups
from pipelines.facts import products as product_rollups
from pipelines.facts.checks import CHECKS
from pipelines.facts.stock_days import days_with_stock
from pipelines.facts.through_time import VERSION, changes
from pipelines.step import Step, Writers, publish
from pipelines.storage.lake import Commit

__all__ = ["CHECKS", "STEPS"]

PRODUCTS_STEP = "product_facts"


def event_facts(tenant: Tenant, days: Sequence[date]) -> dict[str, Commit]:
    """Publish cart steps, what visitors did, their checkouts and their counts of each day."""

    def fill(writers: Writers) -> None:
        who = _identity(tenant)
        products = tenant.lake.scan("products_history").select(_PRODUCT_COLUMNS).collect()
        categories = changes(products, "category_path")
        happened = _days_with_rows(tenant, "customer_events")
        for day in days:
            if day not in happened:
                _put_empty(writers, _OF_EVENTS, day)
                continue
            scan = tenant.lake.scan("customer_events", [day])
            asked = scan.filter(pl.col("event_name").is_in(_CART_NAMES)).select(_CART_COLUMNS)
            in_carts = who.with_visitor(asked.collect(engine="streaming"))
            writers["cart_activity"].put(day, event_rollups.cart_activity(in_carts, products))
            writers["visitor_checkouts"].put(day, visitors.visitor_checkouts(in_carts))
            seen = who.with_visitor(scan.select(visitors.ACT_COLUMNS).collect(engine="streaming"))
            writers["visitor_daily"].put(day, event_rollups.visitor_daily(seen))
            done = visitors.acts(seen)
            # The whole day is a multiple of what is kept of it, and the largest thing in memory.
            del seen, in_carts
            writers["visitor_acts"].put_parts(day, visitors.visitor_acts(done, categories))

    return publish(tenant, _OF_EVENTS, fill)


def click_facts(tenant: Tenant, days: Sequence[date]) -> dict[str, Commit]:
    """Publish clicks on links of each day."""

    def fill(writers: Writers) -> None:
        who = _identity(tenant)
        campaigns = _changes(tenant, "links", "campaign_id")
        happened = _days_with_rows(tenant, "customer_events")
        for day in days:
            scan = tenant.lake.scan("customer_events", [day] if day in happened else [])
            clicked = scan.filter(pl.col("event_name") == clicks.CLICKED).select(clicks.COLUMNS)
            named = who.with_visitor(clicked.collect(engine="streaming"))
            found = clicks.link_clicks(named, who.visitors, who.merges, campaigns)
            writers["link_clicks"].put(day, found)

    return publish(tenant, ("link_clicks",), fill)


def order_facts(tenant: Tenant, days: Sequence[date]) -> dict[str, Commit]:
    """Publish orders, their lines, and what visitors and customers ordered on each day."""

    def fill(writers: Writers) -> None:
        who = _identity(tenant)
        categories = _changes(tenant, "products", "category_path")
        kinds = _changes(tenant, "outlets", "kind")
        by_event = _reached(tenant, days, who).with_columns(local_date(pl.col("ordered_at"), tenant.zone).alias("date"))
        sold = _days_with_rows(tenant, "transactions")
        for day in days:
            on_day = by_event.filter(pl.col("date") == day).drop("date")
            lines = writers["order_lines"].contract.empty()
            if day not in sold:
                _put_empty(writers, ("customer_orders", "order_lines", "customer_daily"), day)
            else:
                scan = tenant.lake.scan("transactions", [day]).select(order_rollups.TRANSACTION_COLUMNS)
                transactions = who.with_holder(scan.collect(engine="streaming"))
                counted = order_rollups.sales_and_returns(transactions)
                lines = order_rollups.order_lines(counted, categories)
                orders = order_rollups.customer_orders(counted, lines, kinds)
                by_link = visitor_orders.linked(transactions.filter(order_rollups.is_order()), who.visitors)
                writers["order_lines"].put(day, lines)
                writers["customer_orders"].put(day, orders)
                writers["customer_daily"].put(day, order_rollups.customer_daily(orders))
                on_day = visitor_orders.visitor_orders(on_day, by_link)
            writers["visitor_orders"].put(day, on_day.drop("event_id"))
            said = _standing_for_orders(tenant, day, on_day)
            writers["visitor_purchases"].put(day, purchases.visitor_purchases(on_day, lines, said, categories))

    return publish(tenant, _OF_ORDERS, fill)


def product_facts(tenant: Tenant, days: Sequence[date]) -> dict[str, Commit]:
    """Publish demand, sales and stock of products; stock is carried forward from every earlier published day."""
    return advance_products(tenant, days, ())


def advance_products(tenant: Tenant, days: Sequence[date], tail: Sequence[date]) -> dict[str, Commit]:
    """``product_facts``, and of the days in ``tail`` those before which the carried stock has changed."""

    def fill(writers: Writers) -> None:
        who = _identity(tenant)
        inside = places.tenant_containment(tenant)
        happened = _days_with_rows(tenant, "customer_events")
        sold = _days_with_rows(tenant, "order_lines")
        measured = _days_with_rows(tenant, "stock_levels")
        for day, held in days_with_stock(tenant, PRODUCTS_STEP, days, tail):
            lines = tenant.lake.read("order_lines", [day] if day in sold else [])
            events = _demand_events(tenant, [day] if day in happened else [], who)
            acts = product_rollups.demand(events, lines)
            today = stock.on_day(held, _stock(tenant, [day] if day in measured else []).collect(), inside)
            writers["product_hourly"].put(day, product_rollups.product_hourly(acts))
            writers["product_daily"].put(day, product_rollups.product_daily(acts, lines, today))

    return publish(tenant, ("product_hourly", "product_daily"), fill)


def _put_empty(writers: Writers, tables: Sequence[str], day: date) -> None:
    for table in tables:
        writers[table].put(day, writers[table].contract.empty())


def _days_with_rows(tenant: Tenant, table: str) -> set[date]:
    """Published days that are not empty; a long backfill has many on which nothing happened."""
    return {day for day, rows in tenant.lake.rows(table).items() if rows and day is not None}


@dataclass(frozen=True)
class _Identity:
    """Links and merges of a tenant, read once: ``link_spans`` of visitors and of customers, and ``customer_merges``."""

    visitors: pl.DataFrame
    customers: pl.DataFrame
    merges: pl.DataFrame

    def with_visitor(self, events: pl.DataFrame) -> pl.DataFrame:
        return with_visitor(events, self.customers, self.merges)

    def with_holder(self, rows: pl.DataFrame) -> pl.DataFrame:
        """``customer_id`` by the merges that hold at ``occurred_at``, and ``sent_customer_id`` as it was."""
        named = rows.with_columns(pl.col("customer_id").alias("sent_customer_id"))
        return holder_at(named, self.merges, instant="occurred_at")


def _identity(tenant: Tenant) -> _Identity:
    links = tenant.lake.scan("identity_links").select(
        "flockr_vid", "customer_id", pl.col("occurred_at").alias("linked_at")
    )
    merges = tenant.lake.read("customer_merges")
    known = links.collect()
    return _Identity(link_spans(known, merges, "visitor"), link_spans(known, merges, "customer"), merges)


def _stock(tenant: Tenant, days: Sequence[date]) -> pl.LazyFrame:
    return tenant.lake.scan("stock_levels", days).select(stock.COLUMNS)


def _demand_events(tenant: Tenant, days: Sequence[date], who: _Identity) -> pl.DataFrame:
    scan = tenant.lake.scan("customer_events", days)
    counted = scan.filter(pl.col("event_name").is_in(product_rollups.COUNTED)).select(product_rollups.EVENT_COLUMNS)
    return who.with_visitor(counted.collect(engine="streaming"))


def _reached(tenant: Tenant, days: Sequence[date], who: _Identity) -> pl.DataFrame:
    """Orders reached by events, for the days and maybe others.

    Event and transaction may lie on two days, either of which may be published later, so both are looked up in landing.
    """
    completed = current(
        tenant,
        "customer_events",
        pl.col("event_name") == "Order Completed",
        visitor_orders.COMPLETED_COLUMNS,
        keep="completed",
    ).filter(pl.col("event_name") == "Order Completed")
    named = completed.with_columns(visitor_orders.order_of_event().alias("order_id"))
    on_days = named.filter(local_date(pl.col("occurred_at"), tenant.zone).is_in(list(days))).select("order_id")
    sold = tenant.lake.scan("transactions", days).select(pl.col("external_id").alias("order_id")).collect()
    asked = pl.concat([on_days, sold]).unique()
    wanted = named.join(asked, on="order_id", how="semi")
    ids = wanted["order_id"].unique()
    transactions = current(tenant, "transactions", pl.col("external_id").is_in(ids.implode()), visitor_orders.LOOKED_UP)
    reached = visitor_orders.reached(who.with_visitor(wanted), transactions)
    return holder_at(reached, who.merges, instant="ordered_at")


def _standing_for_orders(tenant: Tenant, day: date, ordered: pl.DataFrame) -> pl.DataFrame:
    """Events of the day that stand for orders without a transaction."""
    ids = ordered["event_id"].drop_nulls().unique()
    scan = tenant.lake.scan("customer_events", [day] if ids.len() else [])
    named = scan.filter((pl.col("event_name") == "Order Completed") & pl.col("external_id").is_in(ids.implode()))
    return named.select(purchases.EVENT_COLUMNS).collect(engine="streaming")


def _changes(tenant: Tenant, dimension: str, column: str) -> pl.DataFrame:
    return changes(tenant.lake.scan(f"{dimension}_history").select(*VERSION, column).collect(), column)


_PRODUCT_COLUMNS = (
    "external_id",
    "category_path",
    "price_minor",
    "currency",
    "effective_from",
    "effective_to",
    "is_deleted",
)
_OF_EVENTS = ("cart_activity", "visitor_acts", "visitor_checkouts", "visitor_daily")
_OF_ORDERS = ("customer_orders", "order_lines", "visitor_orders", "visitor_purchases", "customer_daily")
_CART_NAMES = sorted({*event_rollups.STEPS_OF_A_CART, *visitors.KINDS_OF_CHECKOUTS})
_CART_COLUMNS = sorted({*event_rollups.CART_COLUMNS, *visitors.CHECKOUT_COLUMNS})

STEPS: tuple[Step, ...] = (
    Step(
        name="event_facts",
        group="facts",
        outputs=_OF_EVENTS,
        inputs=("customer_events", "identity_links", "customer_merges", "products_history", "unresolved_references"),
        run=event_facts,
        code_version="2",
        description="Steps of carts, and what each visitor did on a day.",
    ),
    Step(
        name="click_facts",
        group="facts",
        outputs=("link_clicks",),
        inputs=("customer_events", "identity_links", "customer_merges", "links_history", "unresolved_references"),
        run=click_facts,
        description="Clicks on links by people, with their customer and campaign.",
    ),
    Step(
        name="order_facts",
        group="facts",
        outputs=_OF_ORDERS,
        inputs=(
            "transactions",
            "customer_events",
            "identity_links",
            "customer_merges",
            "products_history",
            "outlets_history",
            "unresolved_references",
        ),
        run=order_facts,
        code_version="2",
        description="Sales and returns, whose they are, and which of them end a visitor's cart.",
    ),
    Step(
        name=PRODUCTS_STEP,
        group="facts",
        outputs=("product_hourly", "product_daily"),
        inputs=(
            "customer_events",
            "order_lines",
            "stock_levels",
            "identity_links",
            "customer_merges",
            "groups",
            "outlets",
            "unresolved_references",
        ),
        run=product_facts,
        carries_state=True,
        advance=advance_products,
        code_version="2",
        description="Demand, sales and stock of products.",
    ),
)
