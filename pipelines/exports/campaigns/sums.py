"""Aggregations that several campaign files share: exact counts, and money that is only added in one currency."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl


def count(condition: pl.Expr | None = None) -> pl.Expr:
    """Number of rows, or of those that satisfy the condition, as Int64."""
    return (pl.len() if condition is None else condition.sum()).cast(pl.Int64)


def distinct(column: str) -> pl.Expr:
    """Number of distinct values, as Int64; null is not one."""
    return pl.col(column).drop_nulls().n_unique().cast(pl.Int64)


def money(net: str = "net_minor", discount: str = "discount_minor") -> list[pl.Expr]:
    """``revenue_minor``, ``discount_minor`` and ``currency`` of a group; all null when it has several currencies."""
    single = pl.col("currency").n_unique() == 1
    return [
        pl.when(single).then(pl.col(net).sum()).alias("revenue_minor"),
        pl.when(single).then(pl.col(discount).sum()).alias("discount_minor"),
        pl.when(single).then(pl.col("currency").first()).alias("currency"),
    ]


def joined(base: pl.DataFrame, parts: Sequence[pl.DataFrame], on: Sequence[str]) -> pl.DataFrame:
    """The base with the columns of each part; rows that a part lacks are null."""
    for part in parts:
        base = base.join(part, on=list(on), how="left")
    return base


def zero(*names: str) -> list[pl.Expr]:
    """Counts that are absent are 0."""
    return [pl.col(name).fill_null(0) for name in names]


def zero_money(conversions: str) -> list[pl.Expr]:
    """Money is 0 where nothing was bought, and stays null where it could not be added."""
    nothing = pl.col(conversions).fill_null(0) == 0
    return [
        pl.when(nothing).then(0).otherwise(pl.col(name)).alias(name) for name in ("revenue_minor", "discount_minor")
    ]
