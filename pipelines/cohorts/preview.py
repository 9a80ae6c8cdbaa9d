"""An unsaved cohort as of a day: who would be in it, and in which of the tenant's cohorts they are. Nothing is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from pipelines.cohorts.history import official
from pipelines.cohorts.language.order import pin
from pipelines.cohorts.language.rules import Cohort, named_cohorts
from pipelines.cohorts.run import results
from pipelines.config import Tenant
from pipelines.signals.catalogue import signals
from pipelines.storage.hashing import subject_key

_ALWAYS = ("cohort_id", "subject", "entered_at", "expires_at")
_SHOWN = (
    *_ALWAYS,
    "cart_total_value_minor",
    "currency",
    "cart_product_ids",
    "low_stock_product_ids",
    "order_count_365",
    "last_order_at",
    "ltv_minor",
    "context",
)


@dataclass(frozen=True)
class Preview:
    """What a cohort comes to on a day.

    Attributes:
        version: definition version.
        size: how many subjects are in it, in a family in any of its cohorts.
        sizes: ``cohort_id`` and ``size``, of a family for each key; the largest first.
        sample: some members with their context, spread over all of them.
        overlap: ``cohort_id``, ``size``, ``shared`` and ``share`` (percent of the members) of the cohorts that count
            on the day, those in which one of the members is; the most shared first.
    """

    version: str
    size: int
    sizes: list[dict[str, Any]]
    sample: list[dict[str, Any]]
    overlap: list[dict[str, Any]]


def preview(
    tenant: Tenant,
    definitions: Mapping[str, Cohort],
    cohort_id: str,
    day: date,
    sample: int,
    progress: Callable[[date], None] | None = None,
) -> Preview:
    """Compute a cohort and those that it names at the end of a day, from the tenant's facts.

    Args:
        tenant: whose; neither its lake nor its state is written to.
        definitions: checked cohorts by id, with the parameters of the tenant.
        cohort_id: which.
        day: a day whose cohorts were computed.
        sample: how many members to show.
        progress: told each day on the way.
    """
    known = {key: each.model_copy() for key, each in definitions.items()}
    pin(known, {key: signal.definition_version for key, signal in signals(tenant).items()})
    needed = _closure(known, cohort_id)
    with TemporaryDirectory(prefix="murmur-preview-") as folder:
        found = dict(results(tenant, needed, [day], state=Path(folder), progress=progress))
    cohort = known[cohort_id]
    own = pl.col("cohort_id").str.starts_with(f"{cohort_id}:") if cohort.for_each else pl.col("cohort_id") == cohort_id
    members = found[day].membership.filter(own & pl.col("is_member"))
    subjects = members.select("subject").unique()
    sizes = members.group_by("cohort_id").agg(pl.len().cast(pl.Int64).alias("size"))
    return Preview(
        cohort.definition_version,
        subjects.height,
        sizes.sort("size", "cohort_id", descending=[True, False]).to_dicts(),
        _sample(members, sample),
        _overlap(tenant, cohort.subject, subjects, day),
    )


def _closure(known: Mapping[str, Cohort], cohort_id: str) -> dict[str, Cohort]:
    """A cohort and all that it names, and so on."""
    found = {cohort_id: known[cohort_id]}
    for name in sorted(named_cohorts(known[cohort_id].rule)):
        found |= _closure(known, name)
    return found


def _sample(members: pl.DataFrame, many: int) -> list[dict[str, Any]]:
    """The first members by the hash of the subject, which stands in no order to anything."""
    shown = members.sort(subject_key("subject"), "cohort_id").head(many).select(_SHOWN)
    told = [name for name in _SHOWN if name in _ALWAYS or shown[name].null_count() < shown.height]
    return shown.select(told).to_dicts()


def _overlap(tenant: Tenant, kind: str, subjects: pl.DataFrame, day: date) -> list[dict[str, Any]]:
    rows = official.membership(tenant, day).filter(pl.col("is_member") & (pl.col("subject_type") == kind))
    inside = pl.col("subject").is_in(subjects["subject"].implode())
    found = rows.group_by("cohort_id").agg(
        pl.len().cast(pl.Int64).alias("size"), inside.sum().cast(pl.Int64).alias("shared")
    )
    shared = found.filter(pl.col("shared") > 0).sort("shared", "cohort_id", descending=[True, False])
    return [{**row, "share": round(100 * row["shared"] / subjects.height, 1)} for row in shared.to_dicts()]
