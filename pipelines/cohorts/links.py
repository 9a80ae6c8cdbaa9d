"""Who a subject is linked to: the customer of a visitor, or the visitor of a customer, at an instant."""

from __future__ import annotations

import polars as pl

from pipelines.cohorts.cart_state import INF
from pipelines.entities.identity import Kind, link_spans

#: Kind of subject -> the column that names it, and the column of the other one.
SIDES = {"visitor": ("flockr_vid", "customer_id"), "customer": ("customer_id", "flockr_vid")}
LINKS = {"flockr_vid": pl.String, "customer_id": pl.String, "linked_at": pl.Int64}
SPANS = {"subject": pl.String, "other": pl.String, "linked_at": pl.Int64, "until": pl.Int64}


def spans(links: pl.DataFrame, kind: Kind, merges: pl.DataFrame) -> pl.DataFrame:
    """When subjects of a kind are linked to which other.

    Args:
        links: ``LINKS``.
        kind: ``visitor`` or ``customer``.
        merges: ``customer_merges``.

    Returns:
        ``SPANS``; the link holds in ``(linked_at, until]``.
    """
    found = link_spans(links, merges, kind).rename({"since": "linked_at"})
    return found.with_columns(pl.col("until").fill_null(INF)).select(*SPANS)


def holds(at: pl.Expr) -> pl.Expr:
    """Whether a link holds at an instant."""
    return (pl.col("linked_at") < at) & (at <= pl.col("until"))


def linked_at(rows: pl.DataFrame, found: pl.DataFrame, instant: int) -> pl.DataFrame:
    """Add ``other`` by the links of one instant; rows keep their order.

    Args:
        rows: ``subject``.
        found: what ``spans`` gave.
        instant: microseconds.
    """
    now = found.filter(holds(pl.lit(instant))).select("subject", "other")
    return rows.join(now, on="subject", how="left", maintain_order="left")


def linked_each(rows: pl.DataFrame, found: pl.DataFrame, by: str = "subject") -> pl.DataFrame:
    """Add ``other`` by the links at the instant ``at`` of each row; rows keep their order.

    Args:
        rows: the column that names the subject, and ``at``.
        found: what ``spans`` gave.
        by: name of that column.
    """
    wanted = rows.select(by, "at").unique()
    then = wanted.join(found, on=by).filter(holds(pl.col("at"))).select(by, "at", "other")
    return rows.join(then, on=[by, "at"], how="left", maintain_order="left")
