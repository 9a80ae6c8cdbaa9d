"""Which revision of a day's file stood at an instant, and what it held."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from pipelines.config import Tenant
from pipelines.exports.manifest import Manifest
from pipelines.exports.revision import MANIFEST, Place
from pipelines.exports.target import export_store
from pipelines.storage.objects import ObjectNotFoundError
from schemas.exports import file_contract


@dataclass(frozen=True)
class Said:
    """A revision as it went out.

    Attributes:
        revision: its number.
        published_at: when.
        rows: what it held, with the columns of the dataset without ``date``.
    """

    revision: int
    published_at: datetime
    rows: pl.DataFrame


def said(tenant: Tenant, dataset: str, day: date, at: datetime | None = None) -> Said | None:
    """The revision of a day that stood at an instant; the first one where no instant is given.

    None where nothing had been published by then, or its objects are no longer kept.
    """
    ledger = tenant.lake.read("export_slo", [day]).filter(pl.col("dataset") == dataset).sort("revision")
    stood = ledger.head(1) if at is None else ledger.filter(pl.col("published_at") <= at).tail(1)
    store = export_store(tenant, "s3")
    if store is None or not stood.height:
        return None
    number, published_at = stood.select("revision", "published_at").row(0)
    try:
        manifest = Manifest.decode(store.get(f"{Place(dataset, day, dataset).truth(number)}/{MANIFEST}"))
        parts = [pl.read_parquet(io.BytesIO(store.get(entry.path))) for entry in manifest.files]
    except ObjectNotFoundError:
        return None
    contract = file_contract(dataset)
    missing = [pl.lit(None, dtype=column.dtype).alias(column.name) for column in contract]
    shaped = [part.with_columns([m for m in missing if m.meta.output_name() not in part.columns]) for part in parts]
    return Said(number, published_at, pl.concat([part.select(contract.names) for part in shaped]))
