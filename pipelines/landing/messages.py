"""Messages that say two things: one ``message_id`` on rows whose content differs.

Both rows stay what their ``external_id`` makes of them; this only counts. A batch whose rows carry message ids keeps
one pair of 64-bit hashes for each, of the id and of the content, so that neither is told. The count of a batch is
that of the contents which it adds to messages that have one, so that the sum over all batches does not depend on order.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from pipelines.config import Tenant
from pipelines.landing import layout, store
from pipelines.landing.canonical import version_key
from pipelines.landing.spool import Spool
from pipelines.storage.durable import replacing
from pipelines.storage.hashing import subject_key
from schemas.entities.envelope import Entity

#: What waits while a batch is read; a file keeps the last two, each pair once, sorted.
SAID = pl.Schema({"line_no": pl.Int64(), "message_key": pl.Int64(), "content_key": pl.Int64()})
_PAIR = ("message_key", "content_key")
_KEY_RANGE = 1 << 58


def waiting(folder: Path) -> Spool:
    """A spool for the pairs of a batch."""
    return Spool(folder, SAID, lambda rows: rows["message_key"] // _KEY_RANGE)


def said(rows: pl.DataFrame, numbers: pl.Series, ids: pl.Series, entity: Entity) -> pl.DataFrame | None:
    """The pairs of rows in split form, columns ``SAID``; None where no row has a message id.

    Args:
        rows: the rows that stay.
        numbers: line numbers of the rows as received.
        ids: their message ids.
        entity: what the rows are.
    """
    if ids.null_count() == len(ids):
        return None
    named = pl.DataFrame({"line_no": numbers, "message_id": ids}).filter(pl.col("message_id").fill_null("") != "")
    content = rows.select("line_no", version_key(entity.stored).alias("content_key"))
    keyed = content.join(named, on="line_no").with_columns(subject_key("message_id").alias("message_key"))
    return keyed.select(SAID.names())


def keep(tenant: Tenant, entity: Entity, batch_id: str, pairs: Spool) -> int:
    """Write the pairs of a batch that is about to be committed.

    Returns:
        How many contents it adds to messages that have one, in the batch itself or in those before it.
    """
    before = [layout.messages_file(tenant, entity.name, r.batch_id) for r in store.committed(tenant, entity.name)]
    earlier = [path for path in before if path.exists()]
    added = 0

    def counted() -> Iterator[pl.DataFrame]:
        nonlocal added
        for rows in pairs.ranges():
            own = rows.select(_PAIR).unique().sort(_PAIR)
            added += _added(own, _of_messages(earlier, own["message_key"]))
            yield own

    frames = counted()
    first = next(frames, None)
    if first is None:
        return 0
    with replacing(layout.messages_file(tenant, entity.name, batch_id)) as temporary:
        pl.concat([first, *frames]).write_parquet(temporary, compression="snappy", statistics=True)
    return added


def _of_messages(paths: list[Path], keys: pl.Series) -> pl.DataFrame:
    """Pairs of earlier batches about some messages."""
    if not paths:
        return pl.DataFrame(schema={name: SAID[name] for name in _PAIR})
    between = pl.col("message_key").is_between(keys.min(), keys.max())
    found = pl.scan_parquet(paths).filter(between).join(keys.unique().to_frame().lazy(), on="message_key", how="semi")
    return found.unique().collect(engine="streaming")


def _added(own: pl.DataFrame, earlier: pl.DataFrame) -> int:
    """Contents beyond the first of each message, less those that were there before."""
    return _beyond_first(pl.concat([own, earlier.select(own.columns)]).unique()) - _beyond_first(earlier)


def _beyond_first(pairs: pl.DataFrame) -> int:
    return pairs.height - pairs["message_key"].n_unique()
