"""Which rows of a batch repeat an id: exact duplicates, further versions, and versions that a newer one has overtaken.

Ids are looked for by their 64-bit key alone; rows are only compared in full for the few ids that are found twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from pipelines.landing.canonical import version_hash
from schemas.entities.envelope import OP_RANK, Entity

_VERSION = ("external_id", "op", "order_at", "hash")
#: Keys that are compared at once; of more, one range of sixteen after the other.
ROWS_AT_ONCE = 8_000_000
_KEY_BITS = 60
Fetch = Callable[[pl.DataFrame], pl.DataFrame]
#: Rows by tenant day; null for entities without days.
Days = dict[date | None, int]


@dataclass(frozen=True)
class Repeats:
    """What is known about repeated ids.

    Attributes:
        duplicates: line numbers of rows that say exactly what an earlier row says; Int64.
        repeats: line numbers of rows whose id stands earlier; Int64.
        duplicate_days: how many of the duplicates fall on each tenant day.
        superseded_days: by tenant day, rows that are kept although a newer version of the id is known.
        superseded_lines: their line numbers; Int64.
    """

    duplicates: pl.Series
    repeats: pl.Series
    duplicate_days: Days = field(default_factory=dict)
    superseded_days: Days = field(default_factory=dict)
    superseded_lines: pl.Series = field(default_factory=lambda: pl.Series([], dtype=pl.Int64))

    @property
    def superseded(self) -> int:
        """Rows that are kept although a newer version of the id is known."""
        return sum(self.superseded_days.values())


def find(keys: pl.Series, earlier: pl.LazyFrame | None, own: Fetch, entity: Entity) -> Repeats:
    """Compare a batch with itself and with what has landed before.

    Args:
        keys: id_key of every row of the batch.
        earlier: split form of the batches before, or None.
        own: gives the batch's rows whose id_key is in a frame of keys, columns of ``versions``.
        entity: what the rows are.
    """
    twice = _twice(keys).to_frame("id_key")
    if earlier is not None:
        mine = keys.unique().to_frame("id_key").lazy()
        before = earlier.select("id_key").join(mine, on="id_key", how="semi").collect(engine="streaming")
        twice = pl.concat([twice, before])
    hits = twice.unique()
    none = pl.Series([], dtype=pl.Int64)
    if not hits.height:
        return Repeats(none, none)
    rows = [own(hits).with_columns(own=pl.lit(True))]
    if earlier is not None:
        found = versions(earlier.join(hits.lazy(), on="id_key", how="semi"), entity).collect(engine="streaming")
        rows.append(found.with_columns(own=pl.lit(False)))
    return _classify(pl.concat(rows))


def _twice(keys: pl.Series) -> pl.Series:
    """Keys that stand more than once, found a range of keys at a time: a table of all of them would not stay small."""
    whole = keys.to_numpy()
    parts = (whole[whole >> _KEY_BITS == i] for i in range(-8, 8)) if len(whole) > ROWS_AT_ONCE else (whole,)
    # Sorting numbers is many times quicker than hashing them.
    ordered = (np.sort(part) for part in parts)
    return pl.Series("id_key", np.concatenate([part[1:][part[1:] == part[:-1]] for part in ordered]))


def versions(frame: pl.LazyFrame, entity: Entity) -> pl.LazyFrame:
    """line_no, date, external_id, op, order_at and the hash of each version."""
    return frame.select("line_no", "date", "external_id", "op", "order_at", version_hash(entity.stored).alias("hash"))


def _classify(rows: pl.DataFrame) -> Repeats:
    placed = rows.sort("external_id", "own", "line_no").with_columns(
        place=pl.int_range(pl.len()).over("external_id"), same=pl.int_range(pl.len()).over(_VERSION)
    )
    duplicate = pl.col("own") & (pl.col("same") > 0)
    kept = placed.filter(~duplicate)
    rank = pl.col("op").replace_strict(OP_RANK, return_dtype=pl.Int64)
    newest_last = kept.with_columns(rank=rank).sort("external_id", "order_at", "rank", "hash")
    overtaken = newest_last.filter(pl.col("own") & (pl.col("external_id") == pl.col("external_id").shift(-1)))
    dropped = placed.filter(duplicate)
    return Repeats(
        dropped["line_no"],
        kept.filter(pl.col("own") & (pl.col("place") > 0))["line_no"],
        by_day(dropped),
        by_day(overtaken),
        overtaken["line_no"],
    )


def by_day(frame: pl.DataFrame | pl.LazyFrame) -> Days:
    """Rows of each value of ``date``."""
    counted = frame.lazy().group_by("date").agg(pl.len().cast(pl.Int64).alias("rows"))
    return dict(counted.collect(engine="streaming").iter_rows())
