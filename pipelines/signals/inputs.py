"""What a day of product signals reads from the lake; days that overlap are read once while a run goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import polars as pl

from pipelines.calendar import Day, days_between
from pipelines.config import Tenant
from pipelines.facts.cart_steps import keyed
from pipelines.facts.places import PLACE, tenant_containment
from pipelines.signals import attributes, demand
from pipelines.signals import state as states
from pipelines.signals.arrays import Products
from pipelines.signals.catalogue import Count
from pipelines.signals.demand import ACTS, Hours
from pipelines.signals.measures.scarcity import SALES_DAYS
from pipelines.signals.measures.stock import days_sales
from pipelines.signals.state import Definitions
from pipelines.signals.units import DAY
from pipelines.storage.hashing import subject_key
from pipelines.storage.lake import Lake

HOURLY = ["product_id", "hour", *ACTS.values(), *[f"{name}_last_15m" for name in ACTS.values()]]
DAILY = ["product_id", "purchases", "units_sold", "units_returned"]
LINES = ["product_id", "outlet_id", "kind", "quantity"]
STOCK = [*PLACE, "measured_at", "external_id", "available", "inbound_at"]


@dataclass
class Run:
    """Everything that stays the same while days are computed, and what was read of them.

    Attributes:
        tenant: whose.
        definitions: by id.
        published: ``product_id``, ``first_published_at``.
        inside: which place lies inside which.
        online: outlet whose stock online sales deplete.
        steps: ``attributes.STEPS``.
    """

    tenant: Tenant
    definitions: Definitions
    published: pl.DataFrame
    inside: pl.DataFrame
    online: str | None
    steps: pl.DataFrame
    filled: dict[str, set[date]] = field(default_factory=dict)
    _sales: dict[date, pl.DataFrame] = field(default_factory=dict)

    @property
    def lake(self) -> Lake:
        """The tenant's."""
        return self.tenant.lake

    def has(self, table: str, day: date) -> bool:
        """Whether a partition has rows; a long backfill has many without."""
        if table not in self.filled:
            self.filled[table] = {each for each, rows in self.lake.rows(table).items() if rows and each is not None}
        return day in self.filled[table]

    def of_day(self, table: str, day: date) -> pl.LazyFrame:
        """Rows of one partition."""
        return self.lake.scan(table, [day] if self.has(table, day) else [])


def open_run(tenant: Tenant, definitions: Definitions) -> Run:
    """What a run reads once."""
    lake = tenant.lake
    products = lake.scan("products").select(pl.col("external_id").alias("product_id"), "first_published_at")
    return Run(
        tenant,
        definitions,
        products.drop_nulls().sort("first_published_at", "product_id").collect(),
        tenant_containment(tenant),
        online_outlet(tenant),
        attributes.read(tenant, attributes.lookback_of_prices(definitions)),
    )


def online_outlet(tenant: Tenant) -> str | None:
    """The outlet of kind online, the least of several as they are now; None where there is none."""
    online = tenant.lake.scan("outlets").filter(pl.col("kind") == "online")
    found: str | None = online.select(pl.col("external_id").min()).collect().item()
    return found


def load_hours(run: Run, hours: Hours, day: Day, products: Products) -> None:
    """Read the partitions of ``product_hourly`` that the day needs."""
    wanted = demand.needed_days(day, states.lags(run.definitions), run.tenant.zone)
    for each in wanted:
        if each <= day.date and each not in hours.loaded:
            hours.load(each, run.of_day("product_hourly", each).select(HOURLY).collect(), products)


def visitor_windows(definitions: Definitions) -> dict[str, set[int]]:
    """Microseconds of the windows whose visitors are counted, by act."""
    found: dict[str, set[int]] = {}
    for signal in definitions.values():
        if isinstance(signal.measure, Count) and signal.measure.visitors:
            found.setdefault(signal.measure.count, set()).update(signal.windows.values())
    return found


def visitor_days(definitions: Definitions) -> int:
    """Days before a day that hold the acts of its windows."""
    longest = max((width for each in visitor_windows(definitions).values() for width in each), default=0)
    return longest // DAY + 1


def sales(run: Run, last: date) -> list[tuple[int, pl.DataFrame]]:
    """Sales of the 14 days that end with a day, by slot, each with its age (1 for the last)."""
    needed = days_between(last - timedelta(days=SALES_DAYS - 1), last)
    for each in needed:
        if each not in run._sales:
            moved = pl.any_horizontal(pl.col(name) != 0 for name in DAILY[1:])
            daily = run.of_day("product_daily", each).select(DAILY).filter(moved).collect()
            lines = run.of_day("order_lines", each).select(LINES).collect()
            run._sales[each] = days_sales(daily, lines, run.inside, run.online)
    for old in [each for each in run._sales if each < needed[0] - timedelta(days=1)]:
        del run._sales[old]
    return [((last - each).days + 1, run._sales[each]) for each in needed]


def stock(run: Run, day: date) -> pl.DataFrame:
    """Measurements of a day that say something."""
    rows = run.of_day("stock_levels", day).select(STOCK)
    return rows.drop_nulls(["product_id", "measured_at", "available"]).collect()


def cart_steps(run: Run, day: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """``cart_steps.keyed`` of a day, and its orders: ``visitor`` (key), ``at`` in microseconds."""
    orders = run.of_day("visitor_orders", day).select(
        subject_key("flockr_vid").alias("visitor"), pl.col("ordered_at").dt.epoch("us").alias("at")
    )
    return keyed(run.of_day("cart_activity", day)), orders.collect()


def reach(definitions: Definitions) -> Mapping[str, int]:
    """How many days before a day are read of the facts."""
    hours = max(states.lags(definitions))
    return {
        "product_hourly": hours // 24 + 3,
        "product_daily": SALES_DAYS,
        "order_lines": SALES_DAYS,
        # The first day that a run tells compares with the one before it.
        "visitor_acts": visitor_days(definitions) + 1,
        "visitor_purchases": visitor_days(definitions) + 1,
        "stock_levels": 0,
        "cart_activity": 0,
        "visitor_orders": 0,
    }
