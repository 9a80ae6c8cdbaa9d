"""Orders of customers as spans in which they count, and the order cohorts as intervals over all time.

Everything here is a function of the orders and merges alone: what is true at x depends on those not after x, so days
need no state. An order counts from its own instant until the one at which all of it has come back, for the customer
that its id stands for: where customers are merged it leaves one and comes to the other, its own instant unchanged.
"""

from __future__ import annotations

import polars as pl

from pipelines.cohorts.cart_state import INF
from pipelines.entities.merges import over_time
from schemas.tables import CUSTOMER_MERGES

#: Why an order begins to count at an instant or ends to, the strongest first; of several at one instant it decides.
ORDER, RETURN, MERGE = 0, 1, 2

#: Of ``customer_orders``. The customer is the one that was sent: for whom it stands changes with the instant.
COLUMNS = [
    "order_id",
    "kind",
    "sale_id",
    pl.coalesce("sent_customer_id", "customer_id").alias("customer_id"),
    "occurred_at",
    "net_minor",
    "currency",
    "units",
]


def counted_orders(rows: pl.DataFrame, merges: pl.DataFrame | None = None) -> pl.DataFrame:
    """For whom, and from when to when, each sale counts.

    Args:
        rows: ``customer_orders`` (``COLUMNS``) with ``at`` Int64 microseconds instead of ``occurred_at``.
        merges: ``customer_merges``.

    Returns:
        ``subject``, ``order_id``, ``at``, ``since`` and ``until`` (``INF``: for ever): the order counts in
        ``(since, until]``; ``came`` and ``went``, the causes of both ends; sorted by subject, at, order_id, since.
    """
    sales = rows.filter((pl.col("kind") == "sale") & pl.col("customer_id").is_not_null())
    back = rows.filter(pl.col("kind") == "return").select("sale_id", pl.col("at").alias("back_at"), "order_id", "units")
    cumulative = back.sort("sale_id", "back_at", "order_id").with_columns(
        (-pl.col("units")).cum_sum().over("sale_id").alias("returned")
    )
    sold = sales.select(pl.col("order_id").alias("sale_id"), pl.col("units").alias("sold"))
    full = cumulative.join(sold, on="sale_id").filter(pl.col("returned") >= pl.col("sold"))
    first = full.group_by("sale_id").agg(pl.col("back_at").min())
    joined = sales.join(first, left_on="order_id", right_on="sale_id", how="left")
    ends = pl.when(pl.col("back_at").is_null()).then(INF).otherwise(pl.max_horizontal("back_at", "at"))
    spans = joined.select(
        pl.col("customer_id").alias("subject"), "order_id", "at", pl.col("at").alias("since"), ends.alias("until")
    )
    counting = spans.filter(pl.col("until") > pl.col("since"))
    pieces = over_time(counting, CUSTOMER_MERGES.empty() if merges is None else merges, "subject")
    return pieces.select(
        *spans.columns,
        pl.when("moved_in").then(MERGE).otherwise(ORDER).alias("came"),
        pl.when("moved_out").then(MERGE).otherwise(RETURN).alias("went"),
    ).sort("subject", "at", "order_id", "since")


def paid(rows: pl.DataFrame, merges: pl.DataFrame | None = None) -> pl.DataFrame:
    """For whom, and from when to when, the money of each sale and return counts.

    Args:
        rows: as for ``counted_orders``; a return belongs to the customer of its sale.
        merges: ``customer_merges``.

    Returns:
        ``subject``, ``since``, ``until`` (``INF``: for ever), ``net_minor``, ``currency``.
    """
    owner = rows.filter(pl.col("kind") == "sale").select(pl.col("order_id").alias("sale_id"), "customer_id")
    joined = rows.join(owner, on="sale_id", how="left")
    spans = joined.select(
        pl.coalesce("customer_id", "customer_id_right").alias("subject"),
        pl.col("at").alias("since"),
        pl.lit(INF, dtype=pl.Int64).alias("until"),
        "net_minor",
        "currency",
    ).filter(pl.col("subject").is_not_null())
    pieces = over_time(spans, CUSTOMER_MERGES.empty() if merges is None else merges, "subject")
    return pieces.select(spans.columns)


def median(column: str) -> pl.Expr:
    """Median of whole numbers as a whole number: the mean of the middle two rounded down; null of nothing."""
    ordered = pl.col(column).drop_nulls().sort()
    count = pl.col(column).count().cast(pl.Int64)
    low, high = ordered.get((count - 1) // 2, null_on_oob=True), ordered.get(count // 2, null_on_oob=True)
    return pl.when(count > 0).then((low + high) // 2)


def context(moments: pl.DataFrame, orders: pl.DataFrame, money: pl.DataFrame, window: int) -> pl.DataFrame:
    """Order context of subjects at instants.

    Args:
        moments: ``subject``, ``at`` (instant of the row), ``seen_at`` (last instant whose data counts).
        orders: what ``counted_orders`` gave.
        money: what ``paid`` gave.
        window: microseconds over which orders are counted.

    Returns:
        ``subject``, ``at``, ``seen_at``, ``order_count_365``, ``last_order_at``, ``days_since``, ``ltv_minor``,
        ``currency``; ``counted_at``, the newest instant from which an order counts; and ``ordered_at``: the instants
        that were counted in the window, newest first.
    """
    key = ["subject", "at", "seen_at"]
    pairs = moments.select(key).join(orders.rename({"at": "ordered_at"}), on="subject")
    pairs = pairs.filter((pl.col("since") <= pl.col("seen_at")) & (pl.col("until") > pl.col("seen_at")))
    recent = pl.col("ordered_at") + window > pl.col("seen_at")
    counts = pairs.group_by(key).agg(
        recent.sum().cast(pl.Int64).alias("order_count_365"),
        pl.col("ordered_at").max().alias("last_order_at"),
        pl.col("since").max().alias("counted_at"),
        pl.col("ordered_at").filter(recent).sort(descending=True),
    )
    own = moments.select(key).join(money, on="subject")
    single = pl.col("currency").min() == pl.col("currency").max()
    worth = (
        own.filter((pl.col("since") <= pl.col("seen_at")) & (pl.col("until") > pl.col("seen_at")))
        .group_by(key)
        .agg(
            pl.when(single).then(pl.col("net_minor").sum()).alias("ltv_minor"),
            pl.when(single).then(pl.col("currency").min()).alias("currency"),
        )
    )
    days = (pl.col("at") - pl.col("last_order_at")) // 86_400_000_000
    joined = moments.select(key).join(counts, on=key, how="left").join(worth, on=key, how="left")
    return joined.with_columns(days.alias("days_since"), pl.col("order_count_365").fill_null(0))
