"""The path of a cart through some days: epochs between orders, quantities of its products, open or empty, its value.

An epoch ends with an order of the visitor, or is left behind when the cart was silent for the ttl. Within an epoch a
quantity never falls below zero: the cumulative sum minus its running minimum where that is negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.cohorts.cart_state import INF, CartState
from pipelines.cohorts.span import Span

ACTIVITY, CLOSE = 0, 1
KEY = ["flockr_vid", "cart_key"]
#: What is summed over the products that a cart holds: their number, those with a price, those of them in another
#: currency than the tenant's, and their worth in the tenant's currency and in any.
SUMS = ("open_items", "priced", "foreign", "value", "worth")


@dataclass(frozen=True)
class Timeline:
    """Some days of all carts.

    Attributes:
        carts: ``cart`` (Int64), ``owner`` (Int64, one per visitor), ``flockr_vid``, ``cart_key``, sorted by the last
            two, so that numbers are in the order of what they stand for.
        held: the carried carts with ``cart``.
        instants: ``cart``, ``epoch``, ``at``, ``carried``, the sums of ``SUMS``, ``order_at`` (of the epoch), sorted by
            ``epoch`` and ``at``; one row per instant of activity, and one for what was carried from the day before.
        items: path of the products of carts that were touched: ``epoch``, ``at``, ``product_id``, ``quantity``,
            ``price``, ``currency``, ``line_value``, ``carried``; the state after the instant, sorted by epoch,
            product, instant.
        untouched: carried items of all other carts, with ``epoch``, ``at`` and the same columns.
    """

    carts: pl.DataFrame
    held: pl.DataFrame
    instants: pl.DataFrame
    items: pl.DataFrame
    untouched: pl.DataFrame


def timeline(state: CartState, steps: pl.DataFrame, orders: pl.DataFrame, ttl: int, currency: str) -> Timeline:
    """Fold steps and orders of some days over the carried carts.

    Args:
        state: at the end of the day before.
        steps: ``cart_activity`` of the days with ``at`` Int64: flockr_vid, cart_key, at, event_id, line, step,
            product_id, quantity, unit_price_minor, currency.
        orders: ``visitor_orders`` of the days: flockr_vid, at.
        ttl: microseconds of silence that end a cart.
        currency: the currency that ``value`` counts.
    """
    acts, ends = steps.filter(pl.col("step") != "order"), steps.filter(pl.col("step") == "order")
    runs = _runs(acts)
    carts = _numbered(state, runs)
    numbers = carts.drop("owner")
    known = state.carts.join(numbers, on=KEY).sort("cart")
    places = runs.join(numbers, on=KEY, how="left", maintain_order="left")["cart"]
    acts = acts.with_columns(places.gather(_run(acts)).alias("cart")).drop(KEY)
    closes = pl.concat(
        [
            orders.join(numbers, on="flockr_vid").select("cart", "at"),
            ends.join(numbers, on=KEY).select("cart", "at"),
        ]
    )
    path = _epochs(known.select("cart", pl.col("last_at").alias("at")), acts.select("cart", "at"), closes, ttl)
    instants = path.filter("fresh").drop("fresh", "act")
    held = state.items.join(numbers, on=KEY).drop(KEY)
    held = held.join(instants.filter("carried").select("cart", "epoch", "at", "instant"), on="cart")
    placed = path.filter(~pl.col("carried")).sort("act").select("epoch", "instant")
    acts = pl.concat([acts, placed], how="horizontal").filter(pl.col("product_id").is_not_null())
    is_touched = _marked(carts.height, path.filter(~pl.col("carried"))["cart"])
    touched = is_touched.gather(held["cart"])
    items = _paths(held.filter(touched), acts, currency)
    untouched = held.filter(~touched).with_columns(line_value().alias("line_value"), pl.lit(True).alias("carried"))
    shown = items.drop("instant", *SUMS)
    return Timeline(carts, known, _totals(instants, known, items), shown, untouched.select(shown.columns))


def _marked(length: int, places: pl.Series) -> pl.Series:
    """Boolean: whether each number below ``length`` is among the places."""
    marks = np.zeros(length, dtype=bool)
    marks[places.to_numpy()] = True
    return pl.Series(marks)


def _changes(rows: pl.DataFrame) -> pl.Series:
    """Where another cart begins; rows lie sorted by visitor within a day, so carts repeat without a break."""
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in KEY)
    return rows.select(~same.fill_null(False)).to_series()


def _runs(rows: pl.DataFrame) -> pl.DataFrame:
    """The cart of each stretch of rows: far fewer strings to hash and to sort than there are rows."""
    return rows.select(KEY).filter(_changes(rows))


def _run(rows: pl.DataFrame) -> pl.Series:
    """Number of the stretch that each row is in."""
    return _changes(rows).cast(pl.Int64).cum_sum() - 1


def _numbered(state: CartState, runs: pl.DataFrame) -> pl.DataFrame:
    carts = pl.concat([state.carts.select(KEY), runs]).unique().sort(KEY).with_row_index("cart")
    return carts.with_columns(
        pl.col("cart").cast(pl.Int64), pl.col("flockr_vid").rle_id().cast(pl.Int64).alias("owner")
    )


def _epochs(carried: pl.DataFrame, acts: pl.DataFrame, closes: pl.DataFrame, ttl: int) -> pl.DataFrame:
    """Activity in the order of carts and instants.

    Returns:
        ``cart``, ``at``, ``act`` (row of ``acts``; null for what was carried), ``carried``, ``epoch``, ``order_at`` (of
        the epoch), ``fresh`` (first row of its instant) and ``instant`` (number of the instant, from 0).
    """
    kinds = [(carried, ACTIVITY, True), (acts.with_row_index("act"), ACTIVITY, False), (closes, CLOSE, False)]
    rows = pl.concat(
        [
            frame.with_columns(pl.lit(kind, dtype=pl.Int64).alias("kind"), pl.lit(flag).alias("carried"))
            for frame, kind, flag in kinds
        ],
        how="diagonal",
    )
    rows = rows.sort(_in_one(rows, "cart", "at", "kind"))
    same_cart = pl.col("cart").eq_missing(pl.col("cart").shift(1))
    closed = pl.col("kind").shift(1) == CLOSE
    silent = (pl.col("kind") == ACTIVITY) & (pl.col("at") - pl.col("at").shift(1) >= ttl)
    starts = ~same_cart | closed | silent
    again = same_cart & ~closed & (pl.col("at") == pl.col("at").shift(1))
    rows = rows.with_columns(starts.cast(pl.Int64).cum_sum().alias("epoch"), (~again.fill_null(False)).alias("fresh"))
    ends = rows.filter(pl.col("kind") == CLOSE).select("epoch", pl.col("at").alias("order_at"))
    activity = rows.filter(pl.col("kind") == ACTIVITY).drop("kind")
    numbered = activity.with_columns((pl.col("fresh").cast(pl.Int64).cum_sum() - 1).alias("instant"))
    return numbered.join(ends, on="epoch", how="left", maintain_order="left")


def _in_one(rows: pl.DataFrame, first: str, second: str, last: str) -> list[pl.Expr]:
    """One Int64 in the order of three columns, which sorts much faster; the columns themselves where it would overflow.

    Args:
        rows: any number.
        first: column of numbers from 0.
        second: any Int64 column.
        last: 0 or 1.
    """
    low, high, greatest = rows.select(
        pl.col(second).min().alias("low"), pl.col(second).max().alias("high"), pl.col(first).max().alias("greatest")
    ).row(0)
    if greatest is None:
        return [pl.col(first)]
    width = 2 * (high - low + 1)
    if (greatest + 1) * width > INF:
        return [pl.col(first), pl.col(second), pl.col(last)]
    return [pl.col(first) * width + (pl.col(second) - low) * 2 + pl.col(last)]


def _paths(held: pl.DataFrame, acts: pl.DataFrame, currency: str) -> pl.DataFrame:
    signed = (
        pl.when(pl.col("step") == "add").then("quantity").when(pl.col("step") == "remove").then(-pl.col("quantity"))
    )
    columns = ["epoch", "product_id", "at", "event_id", "line", "instant", "change", "price", "currency", "carried"]
    start = held.with_columns(
        pl.col("quantity").alias("change"),
        pl.lit("").alias("event_id"),
        pl.lit(-1, dtype=pl.Int64).alias("line"),
        pl.lit(True).alias("carried"),
    )
    moved = acts.with_columns(
        signed.otherwise(0).alias("change"), pl.col("unit_price_minor").alias("price"), pl.lit(False).alias("carried")
    )
    moved = moved.with_columns(pl.when(pl.col("price").is_not_null()).then("currency").alias("currency"))
    rows = pl.concat([start.select(columns), moved.select(columns)]).sort(
        "epoch", "product_id", "at", "event_id", "line"
    )
    changed = (pl.col("epoch") != pl.col("epoch").shift(1)) | (pl.col("product_id") != pl.col("product_id").shift(1))
    fresh = changed.fill_null(True)
    rows = rows.with_columns(fresh.alias("fresh"), fresh.cast(pl.Int64).cum_sum().alias("item"))
    rows = rows.with_columns(running("change").alias("total"), kept("price", -1), kept("currency", ""))
    # Only what was removed more often than added ever touches the floor.
    low = rows.filter(pl.col("total") < 0).select("item").unique()
    below = rows.select("item", "total").with_row_index("place").join(low, on="item", how="semi", maintain_order="left")
    below = below.select("place", pl.min_horizontal(pl.col("total").cum_min().over("item"), pl.lit(0)).alias("floor"))
    rows = rows.with_row_index("place").join(below, on="place", how="left", maintain_order="left")
    rows = rows.with_columns((pl.col("total") - pl.col("floor").fill_null(0)).alias("quantity"))
    rows = rows.with_columns(line_value().alias("line_value"))
    return _with_changes(rows, currency).select(
        "epoch", "at", "instant", "product_id", "quantity", "price", "currency", "line_value", "carried", *SUMS
    )


def _with_changes(rows: pl.DataFrame, currency: str) -> pl.DataFrame:
    """Add what each row changes in ``SUMS``."""
    is_open, own = pl.col("quantity") > 0, pl.col("currency") == currency
    states = {
        "open_items": is_open,
        "priced": is_open & pl.col("currency").is_not_null(),
        "foreign": (is_open & ~own).fill_null(False),
        "value": pl.when(own).then("line_value").otherwise(0),
        "worth": pl.col("line_value"),
    }
    rows = rows.with_columns(state.cast(pl.Int64).alias(name) for name, state in states.items())
    before = pl.when(~pl.col("fresh"))
    return rows.with_columns(pl.col(name) - before.then(pl.col(name).shift(1)).otherwise(0) for name in SUMS)


def open_values(line: Timeline, ttl: int, span: Span) -> pl.DataFrame:
    """Values of the carts that are open at the end of days in which all their prices are in the tenant's currency.

    Returns:
        ``day``, ``value``, ``carts``.
    """
    same = (pl.col("epoch") == pl.col("epoch").shift(-1)).fill_null(False)
    following = pl.when(same).then(pl.col("at").shift(-1))
    until = pl.min_horizontal(following, "order_at", pl.col("at") + ttl)
    counted = (pl.col("open_items") > 0) & (pl.col("priced") > 0) & (pl.col("foreign") == 0)
    rows = line.instants.with_columns(until.alias("until")).filter(counted)
    found = span.across(rows.select(pl.col("worth").alias("value"), "at", "until"), "at", "until")
    return found.group_by("day", "value").agg(pl.len().cast(pl.Int64).alias("carts"))


def running(column: str) -> pl.Expr:
    """Cumulative sum within sorted groups whose first rows are marked by ``fresh``; far cheaper than a window."""
    total = pl.col(column).cum_sum()
    base = pl.when("fresh").then(total - pl.col(column)).forward_fill()
    return (total - base).alias(column)


def kept(column: str, nothing: int | str) -> pl.Expr:
    """Forward fill within sorted groups whose first rows are marked by ``fresh``."""
    marked = pl.when(pl.col("fresh") & pl.col(column).is_null()).then(pl.lit(nothing)).otherwise(pl.col(column))
    filled = marked.forward_fill()
    return pl.when(filled != nothing).then(filled).alias(column)


def line_value() -> pl.Expr:
    """``quantity`` (thousandths) x ``price`` in minor units, rounded half to even; 0 without a price."""
    product = pl.col("quantity") * pl.col("price").fill_null(0)
    whole, rest = product // 1000, product % 1000
    return whole + ((rest > 500) | ((rest == 500) & (whole % 2 == 1))).cast(pl.Int64)


def _totals(instants: pl.DataFrame, known: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Sums after each instant; ``known`` is in the order in which the carried instants stand."""
    moved = items.filter(~pl.col("carried")).group_by("instant").agg(pl.col(name).sum() for name in SUMS)
    carried = instants["carried"].arg_true().to_numpy()
    changes = []
    for name in SUMS:
        change = np.zeros(instants.height, dtype=np.int64)
        change[carried] = known[name].to_numpy()
        change[moved["instant"].to_numpy()] += moved[name].to_numpy()
        changes.append(pl.Series(name, change))
    fresh = pl.col("epoch").ne_missing(pl.col("epoch").shift(1))
    rows = instants.with_columns(fresh.alias("fresh"), *changes)
    return rows.with_columns(running(name) for name in SUMS).select("cart", "epoch", "at", "carried", *SUMS, "order_at")
