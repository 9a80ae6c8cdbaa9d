"""What visitors did, act by act: with which product of which category, and how their checkouts went.

From one day's events alone, without bots. Carts and daily counts are in ``events``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import polars as pl

from pipelines.facts.events import VISITOR_COLUMNS, is_no_bot
from pipelines.facts.through_time import with_value
from pipelines.storage.lake import ROW_GROUP
from schemas.registry import LAKE

ACTS_OF_EVENTS = {
    "Product Viewed": "view",
    "Product Added": "add",
    "Product Removed": "remove",
    "Product Added to Wishlist": "wishlist",
    "Product Removed from Wishlist": "unwishlist",
    "Checkout Started": "checkout",
    "Stock Alert Requested": "alert",
}
KINDS_OF_CHECKOUTS = {"Checkout Started": "started", "Checkout Step Completed": "step"}
ACT_COLUMNS = (*VISITOR_COLUMNS, "products", "outlet_id")
CHECKOUT_COLUMNS = (
    "external_id",
    "event_name",
    "occurred_at",
    "customer_id",
    "flockr_vid",
    "session_id",
    "agent_class",
    "checkout_id",
    "value_minor",
    "currency",
    "step",
)
#: Columns that tell acts apart; the category follows from product and instant.
ACT_KEY = ["flockr_vid", "occurred_at", "act", "product_id", "session_id", "outlet_id"]
#: Acts of a day that are ordered at once, which bounds memory on a large day.
ROWS_AT_ONCE = 3 * ROW_GROUP
_LINE = pl.Struct({"product_id": pl.String()})


def acts(events: pl.DataFrame) -> pl.DataFrame:
    """``ACT_KEY`` of each event and product that it names, in no order; equal rows are events that say the same.

    An event with products has a row for each of them, once; one without has its scalar product. Only a checkout may
    have none.

    Args:
        events: ``ACT_COLUMNS``, with the visitor filled in; events of other names are left out.
    """
    known = pl.col("flockr_vid").is_not_null() & is_no_bot() & pl.col("event_name").is_in(list(ACTS_OF_EVENTS))
    act = pl.col("event_name").replace_strict(ACTS_OF_EVENTS, default=None, return_dtype=pl.String)
    done = events.filter(known).select(*ACT_KEY[:2], act.alias("act"), *ACT_KEY[3:], "products")
    listed = (pl.col("products") != "[]").fill_null(False)
    together = pl.concat([done.filter(~listed).select(ACT_KEY), _opened(done.filter(listed)).select(ACT_KEY)])
    named = together.with_columns(pl.when(pl.col("product_id") != "").then("product_id").alias("product_id"))
    return named.filter(pl.col("product_id").is_not_null() | (pl.col("act") == "checkout"))


def visitor_acts(done: pl.DataFrame, categories: pl.DataFrame, most_rows: int = ROWS_AT_ONCE) -> Iterator[pl.DataFrame]:
    """Rows of ``visitor_acts`` without ``date``, in the order of its key: frames that follow each other.

    Args:
        done: ``acts``.
        categories: ``through_time.changes`` of ``category_path``.
        most_rows: about how many rows are worked on at once.
    """
    names = [name for name in LAKE["visitor_acts"].names if name != "date"]
    for part in _by_visitor(done, most_rows):
        named = with_value(part, categories, key="product_id", instant="occurred_at", name="category")
        yield _counted(named).select(names)


def visitor_checkouts(events: pl.DataFrame) -> pl.DataFrame:
    """Started checkouts and completed steps, without ``date``.

    Args:
        events: ``CHECKOUT_COLUMNS``, with the visitor filled in; events of other names are left out.
    """
    kind = pl.col("event_name").replace_strict(KINDS_OF_CHECKOUTS, default=None, return_dtype=pl.String)
    seen = events.filter(pl.col("flockr_vid").is_not_null() & is_no_bot()).with_columns(kind.alias("kind"))
    named = seen.filter(pl.col("kind").is_not_null()).rename({"external_id": "event_id"})
    return named.select(name for name in LAKE["visitor_checkouts"].names if name != "date")


def _opened(events: pl.DataFrame) -> pl.DataFrame:
    """One row for each product that an event lists."""
    products = pl.col("products").str.json_decode(pl.List(_LINE)).list.eval(pl.element().struct[0])
    lines = events.drop("product_id").with_row_index("_event").with_columns(products.alias("product_id"))
    return lines.drop("products").explode("product_id").unique(["_event", "product_id"])


def _by_visitor(done: pl.DataFrame, most_rows: int) -> Iterator[pl.DataFrame]:
    """The rows cut into ranges of visitors, one after the other; a day is cut the same whatever its order."""
    pieces = -(-done.height // most_rows)
    if pieces < 2:
        yield done
        return
    visitors = done["flockr_vid"].unique().sort()
    starts = [visitors[place * visitors.len() // pieces] for place in range(1, pieces)]
    for start, end in pairwise([None, *starts, None]):
        inside = pl.lit(True) if start is None else pl.col("flockr_vid") >= start
        yield done.filter(inside if end is None else inside & (pl.col("flockr_vid") < end))


def _counted(rows: pl.DataFrame) -> pl.DataFrame:
    """Equal rows once, with their ``count``, sorted by ``ACT_KEY`` with nulls last."""
    ordered = rows.sort("flockr_vid", "occurred_at")
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in ("flockr_vid", "occurred_at"))
    follows = ordered.select(same.fill_null(False)).to_series()
    # Two acts of a visitor at one microsecond are rare, and only those need to be ordered and told apart by the rest.
    shared = follows | follows.shift(-1, fill_value=False)
    one = pl.lit(1, dtype=pl.Int64).alias("count")
    if not shared.any():
        return ordered.with_columns(one)
    placed = ordered.with_row_index("_place")
    several = placed.filter(shared).group_by(*ACT_KEY, "category").agg(pl.col("_place"))
    # Rows that tie stand next to each other, so that their places, handed out anew in order, keep them there.
    counted = several.sort(ACT_KEY, nulls_last=True).with_columns(
        pl.col("_place").list.len().cast(pl.Int64).alias("count")
    )
    places = counted["_place"].explode().sort()
    first = counted["count"].cum_sum() - counted["count"]
    again = counted.with_columns(places.gather(first).alias("_place"))
    alone = placed.filter(~shared).with_columns(one)
    return pl.concat([alone, again.select(alone.columns)]).sort("_place").drop("_place")
