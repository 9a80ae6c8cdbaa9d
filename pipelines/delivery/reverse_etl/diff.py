"""What differs between the rows that are wanted and those that the destination acknowledged. Pure.

The destination's word counts, not what was sent: a row that failed differs until it is acknowledged, a row that left
the model is removed until that is, and one that was sent without an answer is sent again, whatever it had before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from pipelines.delivery.reverse_etl.definition import Mode

#: What is remembered of each row; ``uncertain``: it was sent, and nobody knows whether it arrived.
KNOWN = {
    "row_key": pl.String,
    "acked_hash": pl.String,
    "acked_payload": pl.String,
    "failed_hash": pl.String,
    "consecutive_failures": pl.Int64,
    "next_retry_at": pl.Int64,
    "uncertain": pl.Boolean,
}
ADDED, CHANGED, REMOVED, UNCHANGED, WAITING, PARKED = "added", "changed", "removed", "unchanged", "waiting", "parked"
#: Operations that each mode sends.
SENT: Mapping[Mode, frozenset[str]] = {
    "upsert": frozenset({ADDED, CHANGED}),
    "update": frozenset({ADDED, CHANGED}),
    "insert": frozenset({ADDED}),
    "mirror": frozenset({ADDED, CHANGED, REMOVED}),
    "append": frozenset({ADDED, CHANGED}),
    "delete": frozenset({REMOVED}),
}


def diff(desired: pl.DataFrame, known: pl.DataFrame, mode: Mode, now: int, park_after: int) -> pl.DataFrame:
    """One row for each that is wanted or known, sorted by ``row_key``.

    Args:
        desired: ``model.DESIRED``.
        known: ``KNOWN``; ``acked_hash`` is null for a row that was never acknowledged.
        mode: of the sync.
        now: microseconds; rows whose next try is later wait.
        park_after: failures in a row after which a row waits until it changes or somebody asks.

    Returns:
        ``row_key``, ``op``, ``payload``, ``payload_hash``, ``acked_payload``. ``op`` is added, changed, removed or
        unchanged; waiting or parked where it would be sent, but not now. An operation that the mode does not send is
        unchanged.
    """
    both = desired.join(known, on="row_key", how="full", coalesce=True)
    wanted, acked = pl.col("payload_hash").is_not_null(), pl.col("acked_hash").is_not_null()
    uncertain = pl.col("uncertain").fill_null(False)
    # What a model of removals names is to go, and is acknowledged once it went.
    fresh = REMOVED if mode == "delete" else ADDED
    differs = (
        pl.when(wanted & ~acked)
        .then(pl.lit(fresh))
        .when(wanted & ((pl.col("payload_hash") != pl.col("acked_hash")) | uncertain))
        .then(pl.lit(CHANGED))
        .when(~wanted & (acked | uncertain) & (mode == "mirror"))
        .then(pl.lit(REMOVED))
        .otherwise(pl.lit(UNCHANGED))
    )
    sent = differs.is_in(list(SENT[mode]))
    # A failure counts against what failed: another payload is tried at once.
    same = pl.col("failed_hash").eq_missing(pl.col("payload_hash")) & (pl.col("consecutive_failures") > 0)
    op = (
        pl.when(~sent)
        .then(pl.lit(UNCHANGED))
        .when(same & (pl.col("consecutive_failures") >= park_after))
        .then(pl.lit(PARKED))
        .when(same & (pl.col("next_retry_at") > now))
        .then(pl.lit(WAITING))
        .otherwise(differs)
    )
    columns = ["row_key", op.alias("op"), "payload", "payload_hash", "acked_payload"]
    return both.select(columns).sort("row_key")


def counts(found: pl.DataFrame) -> dict[str, int]:
    """How many rows have each operation."""
    known = dict(found.group_by("op").len().iter_rows())
    return {op: known.get(op, 0) for op in (ADDED, CHANGED, REMOVED, UNCHANGED, WAITING, PARKED)}


def fields(payload: str | None, acked: str | None) -> dict[str, tuple[Any, Any]]:
    """Fields that differ: name -> value at the destination, value wanted; null stands for none."""
    wanted, before = (json.loads(text) if text else {} for text in (payload, acked))
    names = sorted({*wanted, *before})
    return {name: (before.get(name), wanted.get(name)) for name in names if before.get(name) != wanted.get(name)}
