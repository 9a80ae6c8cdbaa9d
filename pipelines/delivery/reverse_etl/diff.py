"""What differs between the rows that are wanted and those that the destination acknowledged. Pure.

The destination's word counts, not what was sent: a row that failed differs until it is acknowledged, a row that left
the model is removed until that is, and one that was sent without an answer is sent again, whatever it had before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipelines.delivery.reverse_etl.definition import Mode
from pipelines.storage.hashing import identifiers, subject_key

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


@dataclass(frozen=True)
class Difference:
    """What is to be done.

    Attributes:
        rows: ``row_key``, ``op``, ``payload``, ``payload_hash``, ``acked_payload``, sorted by ``row_key``. ``op`` is
            added, changed or removed, or waiting or parked where it would be sent, but not now.
        unchanged: how many rows are as they should be, or differ in a way that the mode does not send.
    """

    rows: pl.DataFrame
    unchanged: int

    def counts(self) -> dict[str, int]:
        """How many rows have each operation."""
        known = {UNCHANGED: self.unchanged, **dict(self.rows.group_by("op").len().iter_rows())}
        return {op: known.get(op, 0) for op in (ADDED, CHANGED, REMOVED, UNCHANGED, WAITING, PARKED)}

    def due(self) -> pl.DataFrame:
        """Rows that are sent now."""
        return self.rows.filter(pl.col("op").is_in([ADDED, CHANGED, REMOVED]))


def diff(desired: pl.DataFrame, known: pl.DataFrame, mode: Mode, now: int, park_after: int) -> Difference:
    """Compare what is wanted with what is known.

    Args:
        desired: ``model.DESIRED``.
        known: ``KNOWN``; ``acked_payload`` is null for a row that was never acknowledged.
        mode: of the sync.
        now: microseconds; rows whose next try is later wait.
        park_after: failures in a row after which a row waits until it changes or somebody asks.
    """
    both, equal = _apart(desired, known)
    wanted, acked = pl.col("payload").is_not_null(), pl.col("acked_payload").is_not_null()
    uncertain = pl.col("uncertain").fill_null(False)
    # What a model of removals names is to go, and is acknowledged once it went.
    fresh = REMOVED if mode == "delete" else ADDED
    differs = (
        pl.when(wanted & ~acked)
        .then(pl.lit(fresh))
        .when(wanted & ((pl.col("payload") != pl.col("acked_payload")) | uncertain))
        .then(pl.lit(CHANGED))
        .when(~wanted & (acked | uncertain) & (mode == "mirror"))
        .then(pl.lit(REMOVED))
    )
    rows = both.with_columns(differs.alias("op")).filter(pl.col("op").is_in(list(SENT[mode])))
    rows = rows.with_columns(payload_hash())
    # A failure counts against what failed: another payload is tried at once.
    same = pl.col("failed_hash").eq_missing(pl.col("payload_hash")) & (pl.col("consecutive_failures") > 0)
    op = (
        pl.when(same & (pl.col("consecutive_failures") >= park_after))
        .then(pl.lit(PARKED))
        .when(same & (pl.col("next_retry_at") > now))
        .then(pl.lit(WAITING))
        .otherwise("op")
    )
    found = rows.select("row_key", op.alias("op"), "payload", "payload_hash", "acked_payload").sort("row_key")
    return Difference(found, equal + both.height - found.height)


def payload_hash() -> pl.Expr:
    """Hash of each ``payload``; null where there is none."""
    digest = identifiers([pl.col("payload").fill_null("")])
    return pl.when(pl.col("payload").is_not_null()).then(digest).alias("payload_hash")


def _apart(desired: pl.DataFrame, known: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Rows that may differ, side by side, and how many are equal.

    Keys and payloads are compared by 64-bit numbers, so that the texts of a million equal rows are never brought
    together; a key whose number another key has as well is compared in full.
    """
    left = desired.select(_code("row_key"), _code("payload").alias("wanted")).with_row_index("left")
    right = known.select(_code("row_key"), _code("acked_payload").alias("acked"), "uncertain").with_row_index("right")
    if left["code"].n_unique() < left.height or right["code"].n_unique() < right.height:
        return desired.join(known, on="row_key", how="full", coalesce=True), 0
    pairs = left.join(right, on="code", how="full", coalesce=True)
    equal = (pl.col("wanted") == pl.col("acked")) & ~pl.col("uncertain")
    rest = pairs.filter(~equal.fill_null(False))
    wanted = desired.select(pl.all().gather(rest["left"]))
    there = known.select(pl.all().gather(rest["right"])).rename({"row_key": "known_key"})
    both = pl.concat([wanted, there], how="horizontal")
    own, other = pl.col("row_key"), pl.col("known_key")
    if both.select((own != other).fill_null(False).any()).item():
        return desired.join(known, on="row_key", how="full", coalesce=True), 0
    return both.with_columns(pl.coalesce(own, other).alias("row_key")).drop("known_key"), pairs.height - rest.height


def _code(column: str) -> pl.Expr:
    return subject_key(column).alias("code")


def fields(payload: str | None, acked: str | None) -> dict[str, tuple[Any, Any]]:
    """Fields that differ: name -> value at the destination, value wanted; null stands for none."""
    wanted, before = (json.loads(text) if text else {} for text in (payload, acked))
    names = sorted({*wanted, *before})
    return {name: (before.get(name), wanted.get(name)) for name in names if before.get(name) != wanted.get(name)}
