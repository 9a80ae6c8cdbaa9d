"""The simulator's own event log: whole numbers only, from which both the entity rows and the true answers are made.

Columns are indices (visitor, customer, session, product, campaign, link), codes into the tuples below, and amounts.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from pipelines.simulator.settings import Ints

NAMES = (
    "Session Started",
    "Signed In",
    "Product List Viewed",
    "Product Viewed",
    "Product Added",
    "Product Removed",
    "Cart Viewed",
    "Checkout Started",
    "Checkout Step Completed",
    "Order Completed",
    "Message Sent",
    "Message Delivered",
    "Message Failed",
    "Message Opened",
    "Link Clicked",
    "Unsubscribed",
    "Product Added to Wishlist",
    "Product Removed from Wishlist",
    "Stock Alert Requested",
)
(
    SESSION_STARTED,
    SIGNED_IN,
    LIST_VIEWED,
    VIEWED,
    ADDED,
    REMOVED,
    CART_VIEWED,
    CHECKOUT_STARTED,
    STEP_COMPLETED,
    ORDER_COMPLETED,
    SENT,
    DELIVERED,
    FAILED,
    OPENED,
    CLICKED,
    UNSUBSCRIBED,
    WISHED,
    UNWISHED,
    ALERT_REQUESTED,
) = range(len(NAMES))

RESOLUTIONS = ("login", "signup", "checkout", "email_click")
DEVICES = ("mobile", "desktop", "other")
AGENTS = ("human", "bot")
FAILURES = ("hard_bounce", "soft_bounce")
CHANNELS = ("web", "app", "email", "sms")

COLUMNS = (
    "t",
    "name",
    "visitor",
    "customer",
    "session",
    "product",
    "quantity",
    "price",
    "cart",
    "checkout",
    "order",
    "step",
    "value",
    "campaign",
    "link",
    "resolution",
    "device",
    "agent",
    "failure",
    "channel",
    "message",
)
SCHEMA = pl.Schema(dict.fromkeys(COLUMNS, pl.Int64()))


def piece(count: int, **columns: Ints | int) -> pl.DataFrame:
    """Rows of the log from arrays or one value for all rows; -1 means there is none."""
    full = {
        name: pl.Series(np.broadcast_to(np.asarray(values, dtype=np.int64), (count,)).copy())
        for name, values in columns.items()
    }
    frame = pl.DataFrame(full, schema={name: pl.Int64() for name in full})
    frame = frame.with_columns(pl.when(pl.all() >= 0).then(pl.all()))
    return pl.concat([SCHEMA.to_frame(), frame], how="diagonal")


def merged(pieces: list[pl.DataFrame], start: int, end: int) -> pl.DataFrame:
    """All pieces in order of time, cut to ``start <= t < end``, with a row number ``event``."""
    rows = pl.concat(pieces).filter(pl.col("t") >= start, pl.col("t") < end)
    return (
        rows.sort("t", "name", "visitor", "customer", "product", maintain_order=True)
        .with_row_index("event")
        .cast({"event": pl.Int64})
    )
