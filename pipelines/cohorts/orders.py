"""Orders of customers as spans in which they count, and the order cohorts as intervals over all time.

Everything here is a function of the orders and merges alone: what is true at x depends on those not after x, so days
need no state. An order counts from its own instant until the one at which all of it has come back, for the customer
that its id stands for: where customers are merged it leaves one and comes to the other, its own instant unchanged.
"""

from __future__ import annotations

import polars as pl

from pipelines.cohorts.cart_state import INF
from pipelines.cohorts.rules import Cohort, CountRule, GapRule
from pipelines.entities.merges import over_time
from schemas.tables import CUSTOMER_MERGES

#: Why an order begins to count at an instant or ends to, the strongest first; of several at one instant it decides.
ORDER, RETURN, MERGE = 0, 1, 2
_CAUSES = {ORDER: "order", RETURN: "return", MERGE: "merge"}

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
    leaves = pl.min_horizontal(pl.col("at") + window, "until")
    inside = orders.filter(leaves > pl.col("since")).with_columns(leaves.alias("leaves"))
    place = pl.col("subject").rle_id().alias("place")
    came = inside.select("subject", place, pl.col("since").alias("at"), step=pl.lit(1, pl.Int64), rank=_RANK_IN)
    left = inside.select("subject", place, pl.col("leaves").alias("at"), step=pl.lit(-1, pl.Int64), rank=_RANK_OUT)
    # Sorted running sums: a window over each subject costs ten times as much. What a subject adds it takes away in the
    # end, so the sum over all rows before is that of the subject; the last step of an instant tells what holds after.
    steps = pl.concat([came, left]).sort("place", "at", "rank")
    named = pl.col("rank").replace_strict(dict(enumerate(_STEPS)), return_dtype=pl.String)
    counted = steps.with_columns(
        (pl.col("step").cum_sum() >= at_least).alias("on"),
        named.alias("end_cause"),
        pl.when(pl.col("step") > 0).then(named).forward_fill().alias("start_cause"),
    )
    again = (pl.col("place") == pl.col("place").shift(-1)) & (pl.col("at") == pl.col("at").shift(-1))
    path = counted.filter(~again.fill_null(False))
    known = pl.col("on").shift(1) & (pl.col("place") == pl.col("place").shift(1))
    changed = path.filter(pl.col("on") != known.fill_null(False))
    same = (pl.col("subject") == pl.col("subject").shift(-1)).fill_null(False)
    return (
        changed.with_columns(
            pl.when(same).then(pl.col("at").shift(-1)).otherwise(INF).alias("end"), pl.col("end_cause").shift(-1)
        )
        .filter("on")
        .select("subject", pl.col("at").alias("start"), "end", "start_cause", "end_cause")
    )


#: Causes of the steps of a count in the order in which they are taken at one instant: the last one in, or out, is told.
_STEPS = ("merge", "order", "expiry", "merge", "return")
_RANK_IN = pl.when(pl.col("came") == MERGE).then(0).otherwise(1)
_RANK_OUT = pl.when(pl.col("until") > pl.col("leaves")).then(2).when(pl.col("went") == MERGE).then(3).otherwise(4)


def _absent(orders: pl.DataFrame, floor: int, multiple: int, horizon: int) -> pl.DataFrame:
    ended = orders.filter(pl.col("until") < INF)
    events = pl.concat(
        [
            orders.select("subject", pl.col("since").alias("at"), pl.col("came").alias("cause")),
            ended.select("subject", pl.col("until").alias("at"), pl.col("went").alias("cause")),
        ]
    )
    # At one instant an order decides the cause, and what holds after it is looked up for the instant.
    steps = events.group_by("subject", "at").agg(pl.col("cause").min()).sort("subject", "at")
    same = (pl.col("subject") == pl.col("subject").shift(-1)).fill_null(False)
    named = pl.col("cause").replace_strict(_CAUSES, return_dtype=pl.String)
    segments = steps.with_columns(
        pl.when(same).then(pl.col("at").shift(-1)).otherwise(INF).alias("end"),
        pl.when(same).then(named.shift(-1)).otherwise(pl.lit("order")).alias("end_cause"),
    )
    reach = pl.min_horizontal("end", horizon) - pl.col("at")
    possible = segments.filter((pl.col("cause") != ORDER) | (reach > floor)).with_row_index("segment")
    known = orders.select("subject", pl.col("at").alias("ordered_at"), "order_id", "since", "until")
    valid = possible.select("segment", "subject", "at").join(known, on="subject")
    valid = valid.filter((pl.col("since") <= pl.col("at")) & (pl.col("until") > pl.col("at")))
    valid = valid.sort("segment", "ordered_at", "order_id").with_columns(
        (pl.col("ordered_at") - pl.col("ordered_at").shift(1).over("segment")).alias("gap")
    )
    wait = pl.max_horizontal(pl.lit(floor), median("gap") * multiple)
    due = valid.group_by("segment").agg((pl.col("ordered_at").max() + wait).alias("due"))
    found = possible.join(due, on="segment").with_columns(
        pl.max_horizontal("at", "due").alias("start"),
        pl.when((pl.col("cause") != ORDER) & (pl.col("due") <= pl.col("at")))
        .then(named)
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
