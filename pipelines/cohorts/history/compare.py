"""What another definition would come to on a day: its members, and who would enter and leave. Nothing is published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from pipelines.cohorts.catalogue import cohorts
from pipelines.cohorts.history.definitions import definition, register_of, timeline
from pipelines.cohorts.history.publish import load
from pipelines.cohorts.history.versions import Defined, closure, named
from pipelines.cohorts.language.rules import Cohort
from pipelines.cohorts.run import results
from pipelines.config import Tenant, load_yaml
from pipelines.errors import UsageError

_WHO = ["cohort_id", "subject"]
_SHOWN = (*_WHO, "subject_type", "entered_at")


@dataclass(frozen=True)
class Side:
    """Members of one definition at the end of a day.

    Attributes:
        version: of the definition.
        members: ``cohort_id``, ``subject``, ``subject_type``, ``entered_at``, sorted.
    """

    version: str
    members: pl.DataFrame


@dataclass(frozen=True)
class Difference:
    """Who would enter, leave and stay if the definition on the right took over; columns as of ``Side.members``."""

    enter: pl.DataFrame
    leave: pl.DataFrame
    stay: pl.DataFrame


def difference(left: Side, right: Side) -> Difference:
    """Compare two definitions."""
    old, new = left.members, right.members
    return Difference(
        new.join(old, on=_WHO, how="anti", maintain_order="left"),
        old.join(new, on=_WHO, how="anti", maintain_order="left"),
        new.join(old, on=_WHO, how="semi", maintain_order="left"),
    )


def from_file(tenant: Tenant, file: Path) -> Cohort:
    """A definition that is not saved in the tenant's folder, with the tenant's parameters as written in the file.

    Raises:
        UsageError: it is wrong, or names a cohort that is not there.
    """
    found = load_yaml(file, Cohort)
    found._file = file
    return found


def of_definition(tenant: Tenant, wanted: Cohort, day: date) -> Side:
    """Members by a definition, computed with the present definitions of the cohorts that it names."""
    present = cohorts(tenant)
    needed, waiting = {wanted.id: wanted}, _names(wanted, present)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed[name] = present[name]
            waiting |= _names(present[name], present)
    return _computed(tenant, needed, wanted.definition_version, day)


def of_version(tenant: Tenant, cohort: str, version: str, day: date) -> Side:
    """Members by a registered definition, from the lake where the day holds it.

    Raises:
        UsageError: there is no such version.
    """
    sizes = tenant.lake.scan("cohort_sizes", [day]).filter(pl.col("definition_version") == version)
    if not sizes.head(1).collect().is_empty():
        return Side(version, _members(tenant.lake.read("cohort_membership", [day]), version))
    if definition(tenant, cohort, version) is None:
        known = sorted(
            path.stem for path in (register_of(tenant) / cohort).glob("*.json") if path.stem != "activations"
        )
        raise UsageError(f"cohort {cohort!r} has no version {version!r}; versions: {', '.join(known) or 'none yet'}")
    needed = {}
    for name, which in closure(tenant, cohort, version).items():
        kept = definition(tenant, name, which)
        assert kept is not None  # noqa: S101
        needed[name] = load(kept)
    return _computed(tenant, needed, version, day)


def counting_version(tenant: Tenant, cohort: str, day: date) -> str:
    """The version of a cohort that counts on a day.

    Raises:
        UsageError: the cohort is not there on that day.
    """
    active = timeline(tenant).active(day)
    if cohort not in active:
        raise UsageError(
            f"cohort {cohort!r} does not count on {day}; cohorts: {', '.join(sorted(active)) or 'none yet'}"
        )
    return active[cohort]


def _names(wanted: Defined, present: Mapping[str, Cohort]) -> set[str]:
    return named(wanted.model_dump(mode="json")) & present.keys()


def _computed(tenant: Tenant, needed: Mapping[str, Cohort], version: str, day: date) -> Side:
    rows: Iterable[pl.DataFrame] = [tables.membership for _, tables in results(tenant, needed, [day])]
    return Side(version, _members(pl.concat(rows), version))


def _members(rows: pl.DataFrame, version: str) -> pl.DataFrame:
    inside = rows.filter((pl.col("definition_version") == version) & pl.col("is_member"))
    return inside.select(_SHOWN).sort(_WHO)
