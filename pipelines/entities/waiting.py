"""What is waited for, by kind: a summary of ``unresolved_references`` for people.

Who waits for what row by row is the table; how it is found is in ``references``.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from pipelines.config import Tenant


def waiting(tenant: Tenant) -> list[dict[str, Any]]:
    """Records that were named and have not arrived, as of the last run, most awaited first.

    Returns:
        One object for each kind of record: ``waits_for`` the entity, ``missing`` ids, ``rows`` that name them, the
        tenant ``days`` of those rows, ``oldest`` instant since when one waits, ``blocked_minor`` by currency. A row
        that waits for two records of a kind counts once.
    """
    table = tenant.lake.scan("unresolved_references")
    kinds = (
        table.group_by(pl.col("target_entity").alias("waits_for"))
        .agg(
            pl.col("target_id").n_unique().cast(pl.Int64).alias("missing"),
            pl.struct("entity", "row_id").n_unique().cast(pl.Int64).alias("rows"),
            pl.col("date").drop_nulls().n_unique().cast(pl.Int64).alias("days"),
            pl.col("since").min().alias("oldest"),
        )
        .sort(pl.col("rows"), "waits_for", descending=[True, False])
        .collect()
    )
    money = (
        table.filter(pl.col("blocked_minor").is_not_null() & pl.col("currency").is_not_null())
        .unique(["target_entity", "entity", "row_id"])
        .group_by("target_entity", "currency")
        .agg(pl.col("blocked_minor").sum())
        .sort("target_entity", "currency")
        .collect()
    )
    blocked: dict[str, dict[str, int]] = {}
    for target, currency, minor in money.iter_rows():
        blocked.setdefault(target, {})[currency] = minor
    return [{**row, "blocked_minor": blocked.get(row["waits_for"], {})} for row in kinds.iter_rows(named=True)]
