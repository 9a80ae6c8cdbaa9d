"""Events about files, from the ledger of what was published: ``export.published`` and ``export.restated``.

Which events there are follows from the ledger alone, whenever it is read. Pure: ledger in, rows for the outbox out.
"""

from __future__ import annotations

import polars as pl

from pipelines.delivery.payload import export_payload
from pipelines.storage.hashing import identifiers
from schemas.exports import CAMPAIGN_FILES
from schemas.tables import OPEN_SPANS

PUBLISHED, RESTATED = "export.published", "export.restated"
#: Where readers find the files of a day, below the prefix of the bucket.
_MAJOR = "v1"


def published_events(tenant_id: str, ledger: pl.DataFrame) -> pl.DataFrame:
    """Rows for the outbox, one a revision that is told.

    Args:
        tenant_id: part of the ids.
        ledger: every row of ``export_slo``.

    Returns:
        ``event_id``, ``kind``, ``subject_type``, ``subject``, ``effective_at``, ``detected_at``, ``generation``,
        ``payload`` and ``date``. A first revision is told unless a later day of the dataset had been published by
        then: that is a backfill. That files were replaced is told always, since whoever loaded them has to know.
    """
    day = pl.col("date").dt.to_string("%Y-%m-%d")
    folder = pl.when(pl.col("dataset") == CAMPAIGN_FILES).then(pl.lit("")).otherwise(pl.col("dataset") + "/")
    rows = ledger.with_columns(
        pl.when(pl.col("revision") == 1).then(pl.lit(PUBLISHED)).otherwise(pl.lit(RESTATED)).alias("kind"),
        pl.lit("export").alias("subject_type"),
        (pl.col("dataset") + "/" + day).alias("subject"),
        pl.col("published_at").alias("effective_at"),
        pl.col("published_at").alias("detected_at"),
        (pl.col("revision") - 1).alias("generation"),
        (pl.lit(f"{_MAJOR}/") + folder + "date=" + day + "/_manifest.json").alias("manifest"),
        pl.col("missing").alias("unresolved"),
    )
    parts = [pl.lit(tenant_id), pl.lit("export"), pl.col("subject"), pl.col("revision").cast(pl.String)]
    told = rows.with_columns(identifiers(parts).alias("event_id"), export_payload())
    names = ["event_id", "kind", "subject_type", "subject", "effective_at", "detected_at", "generation", "payload"]
    return told.filter((pl.col("kind") == RESTATED) | ~_backfilled()).select("date", *names)


def _backfilled() -> pl.Expr:
    """Whether a later day of the dataset had been published when this one was; spans without end are no day."""
    real_day = pl.col("date") != OPEN_SPANS
    first_told = pl.when(real_day).then("published_at")
    later = first_told.reverse().cum_min().shift(1).reverse().over("dataset", order_by=["date", "revision"])
    return real_day & (later <= pl.col("published_at")).fill_null(False)
