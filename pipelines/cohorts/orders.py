"""Orders of customers as spans in which they count, and the order cohorts as intervals over all time.

Everything here is a function of the orders alone: what is true at x depends on orders and returns not after x, so
days need no state. An order counts in ``(at, returned_at]``: until the instant at which all of it has come back.
"""

from __future__ import annotations

import polars as pl

from pipelines.cohorts.cart_state import INF
from pipelines.cohorts.rules import Cohort, CountRule, GapRule

COLUMNS = ["order_id", "kind", "sale_id", "customer_id", "occurred_at", "net_minor", "currency", "units"]


def counted_orders(rows: pl.DataFrame) -> pl.DataFrame:
    """Sales with the instant at which they stop to count.

    Args:
        rows: ``customer_orders`` (``COLUMNS``) with ``at`` Int64 microseconds instead of ``occurred_at``.

    Returns:
        ``subject``, ``order_id``, ``at``, ``returned_at`` (``INF`` when it counts for ever), sorted by the first
        three of subject, at, order_id.
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
    ends = pl.max_horizontal("back_at", "at").fill_null(INF) if joined.is_empty() else _ends()
    return (
        joined.select(pl.col("customer_id").alias("subject"), "order_id", "at", ends.alias("returned_at"))
        .filter(pl.col("returned_at") > pl.col("at"))
        .sort("subject", "at", "order_id")
    )


def _ends() -> pl.Expr:
    return pl.when(pl.col("back_at").is_null()).then(INF).otherwise(pl.max_horizontal("back_at", "at"))


def intervals(cohort: Cohort, orders: pl.DataFrame, horizon: int) -> pl.DataFrame:
    """Intervals ``(start, end]`` of an order cohort: ``subject``, ``start``, ``end``, ``start_cause``, ``end_cause``.

    Args:
        cohort: a count or a gap of orders.
        orders: what ``counted_orders`` gave, all before ``horizon``.
        horizon: microseconds; nothing starts at or after it.
    """
    rule = cohort.rule
    if isinstance(rule, CountRule):
        found = _frequent(orders, cohort.param(rule.count.within), cohort.param(rule.count.at_least))
    else:
        assert isinstance(rule, GapRule)  # noqa: S101
        floor, gap = rule.gap.at_least.greatest
        found = _absent(orders, cohort.param(floor), cohort.param(gap.median_gap), horizon)
    return found.filter((pl.col("start") < pl.col("end")) & (pl.col("start") < horizon))


def _frequent(orders: pl.DataFrame, window: int, at_least: int) -> pl.DataFrame:
    leaves = pl.min_horizontal(pl.col("at") + window, "returned_at")
    numbered = orders.with_columns(
        pl.col("subject").rle_id().alias("place"), pl.lit(False).alias("back"), pl.lit(1, dtype=pl.Int64).alias("step")
    )
    left_at = numbered.with_columns(
        leaves.alias("at"), (pl.col("returned_at") == leaves).alias("back"), -pl.col("step").alias("step")
    )
    # Sorted running sums: a window over each subject costs ten times as much. What a subject adds it takes away in the
    # end, so the sum over all rows before is that of the subject; the last step of an instant tells what holds after.
    steps = pl.concat([numbered, left_at]).sort("place", "at", "back")
    counted = steps.with_columns((pl.col("step").cum_sum() >= at_least).alias("on"))
    again = (pl.col("place") == pl.col("place").shift(-1)) & (pl.col("at") == pl.col("at").shift(-1))
    path = counted.filter(~again.fill_null(False))
    known = pl.col("on").shift(1) & (pl.col("place") == pl.col("place").shift(1))
    changed = path.filter(pl.col("on") != known.fill_null(False))
    same = (pl.col("subject") == pl.col("subject").shift(-1)).fill_null(False)
    left = pl.when(pl.col("back").shift(-1)).then(pl.lit("return")).otherwise(pl.lit("expiry"))
    return (
        changed.with_columns(
            pl.when(same).then(pl.col("at").shift(-1)).otherwise(INF).alias("end"), left.alias("end_cause")
        )
        .filter("on")
        .select("subject", pl.col("at").alias("start"), "end", pl.lit("order").alias("start_cause"), "end_cause")
    )


def _absent(orders: pl.DataFrame, floor: int, multiple: int, horizon: int) -> pl.DataFrame:
    returned = orders.filter(pl.col("returned_at") < INF)
    events = pl.concat(
        [
            orders.select("subject", "at", pl.lit(False).alias("back")),
            returned.select("subject", pl.col("returned_at").alias("at"), pl.lit(True).alias("back")),
        ]
    )
    # At one instant an order decides the cause, and what holds after it is looked up for the instant.
    steps = events.group_by("subject", "at").agg(pl.col("back").all()).sort("subject", "at")
    same = (pl.col("subject") == pl.col("subject").shift(-1)).fill_null(False)
    segments = steps.with_columns(
        pl.when(same).then(pl.col("at").shift(-1)).otherwise(INF).alias("end"),
        pl.when(same & pl.col("back").shift(-1)).then(pl.lit("return")).otherwise(pl.lit("order")).alias("end_cause"),
    )
    reach = pl.min_horizontal("end", horizon) - pl.col("at")
    possible = segments.filter(pl.col("back") | (reach > floor)).with_row_index("segment")
    known = orders.select("subject", pl.col("at").alias("ordered_at"), "order_id", "returned_at")
    valid = possible.select("segment", "subject", "at").join(known, on="subject")
    valid = valid.filter((pl.col("ordered_at") <= pl.col("at")) & (pl.col("returned_at") > pl.col("at")))
    valid = valid.sort("segment", "ordered_at", "order_id").with_columns(
        (pl.col("ordered_at") - pl.col("ordered_at").shift(1).over("segment")).alias("gap")
    )
    wait = pl.max_horizontal(pl.lit(floor), median("gap") * multiple)
    due = valid.group_by("segment").agg((pl.col("ordered_at").max() + wait).alias("due"))
    found = possible.join(due, on="segment").with_columns(
        pl.max_horizontal("at", "due").alias("start"),
        pl.when(pl.col("back") & (pl.col("due") <= pl.col("at")))
        .then(pl.lit("return"))
        .otherwise(pl.lit("silence"))
        .alias("start_cause"),
    )
    found = found.filter((pl.col("start") < pl.col("end")) & (pl.col("start") < horizon))
    return _joined(found.select("subject", "start", "end", "start_cause", "end_cause"))


def median(column: str) -> pl.Expr:
    """Median of whole numbers as a whole number: the mean of the middle two rounded down; null of nothing."""
    ordered = pl.col(column).drop_nulls().sort()
    count = pl.col(column).count().cast(pl.Int64)
    low, high = ordered.get((count - 1) // 2, null_on_oob=True), ordered.get(count // 2, null_on_oob=True)
    return pl.when(count > 0).then((low + high) // 2)


def _joined(found: pl.DataFrame) -> pl.DataFrame:
    """Intervals of a subject that touch become one."""
    rows = found.sort("subject", "start")
    touches = (pl.col("subject") == pl.col("subject").shift(1)) & (pl.col("start") == pl.col("end").shift(1))
    rows = rows.with_columns((~touches.fill_null(False)).cast(pl.Int64).cum_sum().alias("run"))
    return (
        rows.group_by("run", maintain_order=True)
        .agg(pl.col("subject", "start", "start_cause").first(), pl.col("end", "end_cause").last())
        .select("subject", "start", "end", "start_cause", "end_cause")
    )


def context(moments: pl.DataFrame, orders: pl.DataFrame, money: pl.DataFrame, window: int) -> pl.DataFrame:
    """Order context of subjects at instants.

    Args:
        moments: ``subject``, ``at`` (instant of the row), ``seen_at`` (last instant whose data counts).
        orders: what ``counted_orders`` gave.
        money: ``subject``, ``at``, ``net_minor``, ``currency`` of sales and returns, sorted by subject and instant.
        window: microseconds over which orders are counted.

    Returns:
        ``subject``, ``at``, ``seen_at``, ``order_count_365``, ``last_order_at``, ``days_since``, ``ltv_minor``,
        ``currency``, and ``ordered_at``: the instants that were counted, newest first.
    """
    key = ["subject", "at", "seen_at"]
    pairs = moments.select(key).join(orders.rename({"at": "ordered_at"}), on="subject")
    pairs = pairs.filter((pl.col("ordered_at") <= pl.col("seen_at")) & (pl.col("returned_at") > pl.col("seen_at")))
    recent = pl.col("ordered_at") + window > pl.col("seen_at")
    counts = pairs.group_by(key).agg(
        recent.sum().cast(pl.Int64).alias("order_count_365"),
        pl.col("ordered_at").max().alias("last_order_at"),
        pl.col("ordered_at").filter(recent).sort(descending=True),
    )
    paid = moments.select(key).join(money.rename({"at": "paid_at"}), on="subject")
    single = pl.col("currency").min() == pl.col("currency").max()
    worth = (
        paid.filter(pl.col("paid_at") <= pl.col("seen_at"))
        .group_by(key)
        .agg(
            pl.when(single).then(pl.col("net_minor").sum()).alias("ltv_minor"),
            pl.when(single).then(pl.col("currency").min()).alias("currency"),
        )
    )
    days = (pl.col("at") - pl.col("last_order_at")) // 86_400_000_000
    joined = moments.select(key).join(counts, on=key, how="left").join(worth, on=key, how="left")
    return joined.with_columns(days.alias("days_since"), pl.col("order_count_365").fill_null(0))
