"""What the cohorts of a day come to, before ids and links are added: who moved, and who is in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from pipelines.cohorts.cart_state import CONTEXT, MEMBERS
from pipelines.storage.conform import increases
from pipelines.storage.hashing import identifiers

TRANSITIONS: Mapping[str, type[pl.DataType]] = {
    "cohort_id": pl.String,
    "subject": pl.String,
    "at": pl.Int64,
    "direction": pl.String,
    "caused_by": pl.String,
    **CONTEXT,
}


@dataclass(frozen=True)
class Result:
    """Rows of a day; instants are microseconds.

    Attributes:
        transitions: cohort_id, subject, at, direction, caused_by, the context, and ``other`` (who the subject is
            linked to then).
        members: cohort_id, subject, is_member, entered_at, expires_at, updated_at, membership_key, the context, and
            ``other`` at the end of the day; leavers included.
    """

    transitions: pl.DataFrame
    members: pl.DataFrame


def nothing() -> Result:
    """A day on which no cart is known."""
    other = {"other": pl.String}
    return Result(pl.DataFrame(schema={**TRANSITIONS, **other}), pl.DataFrame(schema={**MEMBERS, **other}))


def in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Sorted by cohort and subject; to see that rows are costs a fraction of sorting them."""
    key = ("cohort_id", "subject")
    return rows if increases(rows, key) else rows.sort(key)


def keyed(rows: pl.DataFrame, tenant: str) -> pl.DataFrame:
    """Fill ``membership_key`` where it is not known yet; hashing what is carried every day would cost more."""
    unknown = rows["membership_key"].is_null()
    if not unknown.any():
        return rows
    key = identifiers([pl.lit(tenant), pl.col("cohort_id"), pl.col("subject")]).alias("membership_key")
    fresh = rows.filter(unknown).select(key).to_series()
    return rows.with_columns(rows["membership_key"].cast(pl.String).scatter(unknown.arg_true(), fresh))
