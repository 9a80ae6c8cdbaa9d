"""Which rows a Parquet dataset has on a day: those of a table of the lake, told by the definitions that count."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import polars as pl

from pipelines.cohorts.history import official
from pipelines.cohorts.history.definitions import timeline
from pipelines.config import Tenant
from pipelines.exports.inputs import Inputs
from pipelines.exports.ledgers import ledger_rows
from pipelines.exports.stream import filtered_pieces, lake_pieces
from schemas.exports import FREE_TEXT, LEDGERS

#: Datasets of which only the rows of the active definition are published.
OFFICIAL = {
    "cohort_membership": official.membership,
    "cohort_transitions": official.transitions,
    "cohort_sizes": official.sizes,
}


def is_asked(tenant: Tenant, dataset: str) -> bool:
    """Whether the tenant wants a dataset: who is who is published only where it says so."""
    return dataset != "identity_links" or tenant.config.exports.identity_links


def table_of(dataset: str) -> str:
    """Table of the lake whose rows a dataset has."""
    return "customer_events" if dataset == "events" else dataset


def dataset_pieces(tenant: Tenant, dataset: str, day: date) -> Iterator[pl.DataFrame]:
    """Rows of a partition in the order of its key, few in memory at once."""
    if dataset in LEDGERS:
        yield ledger_rows(tenant, dataset, day)
        return
    if dataset == "events":
        yield from (events(piece) for piece in lake_pieces(tenant.lake, "customer_events", day))
        return
    lines = timeline(tenant) if dataset in OFFICIAL else None
    if lines is None or not lines.changed:
        yield from lake_pieces(tenant.lake, dataset, day)
    elif lines.switching(day):
        # What moves with a definition stands among the other rows; it happens once a change.
        yield OFFICIAL[dataset](tenant, day)
    else:
        rows = tenant.lake.scan(dataset, [day])
        yield from filtered_pieces(rows.filter(pl.col("definition_version").is_in(sorted(lines.active(day).values()))))


def events(customer_events: pl.DataFrame) -> pl.DataFrame:
    """Rows of the ``events`` dataset: events under ``event_id``, without the fields that people type into."""
    return customer_events.drop(FREE_TEXT).rename({"external_id": "event_id"})


def definition_versions(tenant: Tenant, dataset: str, day: date) -> Inputs:
    """Definitions that the rows were computed by, as inputs named ``definition:<cohort or signal>``."""
    if dataset in LEDGERS:
        return []
    rows = tenant.lake.scan(table_of(dataset), [day])
    columns = rows.collect_schema().names()
    subject = next((name for name in ("cohort_id", "signal_id") if name in columns), None)
    if subject is None or "definition_version" not in columns:
        return []
    if dataset in OFFICIAL and (lines := timeline(tenant)).changed:
        rows = (
            OFFICIAL[dataset](tenant, day).lazy()
            if lines.switching(day)
            else rows.filter(pl.col("definition_version").is_in(sorted(lines.active(day).values())))
        )
    pairs = rows.select(subject, "definition_version").unique().sort(subject, "definition_version")
    return [
        {"asset": f"definition:{name}", "partition": None, "version": version}
        for name, version in pairs.collect(engine="streaming").iter_rows()
    ]
