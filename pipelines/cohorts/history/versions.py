"""Old and new definitions side by side: which versions a day holds, and what computes them.

A generation is a set of definitions that can be computed together: one version for each cohort, closed under what they
name. On a day like any other there is one; before a change takes over there is one more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

import polars as pl
from pydantic import ValidationError

from pipelines.cohorts.history.definitions import Timeline, definition, proposed, register, register_of, timeline
from pipelines.config import Tenant
from pipelines.errors import MurmurError
from pipelines.storage.hashing import identifier

TABLES = ("cohort_membership", "cohort_transitions", "cohort_sizes", "cohort_suppressed")
#: Version by cohort.
Versions = Mapping[str, str]


class Defined(Protocol):
    """What is asked of a definition."""

    @property
    def definition_version(self) -> str:
        """Hash of the resolved definition."""
        ...

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """The resolved definition as plain data."""
        ...


class Tables(Protocol):
    """Rows of one day, without the date."""

    @property
    def membership(self) -> pl.DataFrame:
        """Rows of ``cohort_membership``."""
        ...

    @property
    def transitions(self) -> pl.DataFrame:
        """Rows of ``cohort_transitions``."""
        ...

    @property
    def sizes(self) -> pl.DataFrame:
        """Rows of ``cohort_sizes``."""
        ...

    @property
    def suppressed(self) -> pl.DataFrame:
        """Rows of ``cohort_suppressed``."""
        ...


Results = Callable[[Tenant, Mapping[str, Any], Sequence[date]], Iterator[tuple[date, Any]]]
Load = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Rows:
    """Rows of one day of every version that it holds, without the date."""

    membership: pl.DataFrame
    transitions: pl.DataFrame
    sizes: pl.DataFrame
    suppressed: pl.DataFrame


def seen(tenant: Tenant, present: Mapping[str, Defined], now: datetime) -> Timeline:
    """The timeline with the present definitions; nothing is registered."""
    newest = max(tenant.lake.days("cohort_sizes"), default=None)
    wishes = {cohort: (wish.active_from, wish.announce) for cohort, wish in tenant.config.definitions.items()}
    versions = {cohort: each.definition_version for cohort, each in present.items()}
    return proposed(timeline(tenant), versions, wishes, newest, now)


def fingerprint(lines: Timeline, day: date) -> str:
    """Changes when a day is to hold other versions."""
    return identifier(json.dumps(lines.needed(day), sort_keys=True))


def keep(tenant: Tenant, lines: Timeline, present: Mapping[str, Defined]) -> None:
    """Register the timeline with the present definitions.

    A registered form has ``cohort_id``, ``definition_version``, ``definition`` (plain data) and ``needs``: the versions
    of the cohorts that it names; ``pins``: those that are a part of its own version, signals among them.
    """
    versions = {cohort: each.definition_version for cohort, each in present.items()}
    data = {cohort: each.model_dump(mode="json") for cohort, each in present.items()}
    kept = {
        cohort: {
            "cohort_id": cohort,
            "definition_version": versions[cohort],
            "definition": dumped,
            "needs": {name: versions[name] for name in sorted(named(dumped) & versions.keys() - {cohort})},
            "pins": getattr(present[cohort], "_needs", {}),
        }
        for cohort, dumped in data.items()
    }
    register(tenant, lines, kept)


def named(data: object) -> set[str]:
    """Every string inside plain data; those that are ids of cohorts are what a definition needs, or more."""
    if isinstance(data, str):
        return {data}
    if isinstance(data, Mapping):
        return set().union(*[named(value) for value in data.values()])
    if isinstance(data, Iterable):
        return set().union(*[named(value) for value in data])
    return set()


def generations(tenant: Tenant, needed: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Sets of definitions that give every needed version, the newest ones together in the first.

    Raises:
        MurmurError: a definition that is needed was never registered.
    """
    found: list[dict[str, str]] = []
    last_first = max((len(versions) for versions in needed.values()), default=0)
    for back in range(1, last_first + 1):
        for cohort, versions in sorted(needed.items()):
            if len(versions) >= back:
                _place(found, closure(tenant, cohort, versions[-back]))
    return found


def _place(found: list[dict[str, str]], together: Versions) -> None:
    for each in found:
        if all(each.get(cohort, version) == version for cohort, version in together.items()):
            each.update(together)
            return
    found.append(dict(together))


def closure(tenant: Tenant, cohort: str, version: str) -> dict[str, str]:
    """A registered definition and those that it needs: version by cohort.

    Raises:
        MurmurError: one of them is not in the register.
    """
    found: dict[str, str] = {}
    waiting = {cohort: version}
    while waiting:
        name, which = waiting.popitem()
        kept = definition(tenant, name, which)
        if kept is None:
            raise MurmurError(
                f"definition {which} of cohort {name} is not in {register_of(tenant) / name}; bring the file back from"
                " a backup"
            )
        found[name] = which
        waiting |= {each: needs for each, needs in kept["needs"].items() if each not in found}
    return found


def beside(
    tenant: Tenant, lines: Timeline, days: Sequence[date], results: Results, load: Load
) -> Iterator[tuple[date, Rows]]:
    """Each day, in order, with the rows of every version that it holds.

    Args:
        tenant: whose.
        lines: the timeline, registered.
        days: wanted days.
        results: computes a set of definitions for some days.
        load: makes a definition from its registered form, which ``keep`` describes.
    """
    known: dict[str, list[dict[str, str]]] = {}
    plans = {}
    for day in sorted(set(days)):
        # Days that hold the same versions are planned once.
        same = fingerprint(lines, day)
        if same not in known:
            known[same] = generations(tenant, lines.needed(day))
        plans[day] = known[same]
    by_set: dict[tuple[tuple[str, str], ...], list[date]] = {}
    for day, sets in plans.items():
        for each in sets:
            by_set.setdefault(_key(each), []).append(day)
    running = {key: _computed(tenant, key, wanted, results, load) for key, wanted in by_set.items()}
    for day, sets in plans.items():
        parts = [next(running[_key(each)])[1] for each in sets]
        yield day, _together(parts, sets, lines.needed(day))


def _key(versions: Versions) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(versions.items()))


def _computed(
    tenant: Tenant, key: Sequence[tuple[str, str]], days: Sequence[date], results: Results, load: Load
) -> Iterator[tuple[date, Tables]]:
    """Results of a generation; of one that cannot be computed any more, what is in the lake stays."""
    found = {}
    for cohort, version in key:
        kept = definition(tenant, cohort, version)
        assert kept is not None  # noqa: S101
        try:
            found[cohort] = load(kept)
        except ValidationError:
            return _as_they_are(tenant, key, days)
        if found[cohort].definition_version != version:
            return _as_they_are(tenant, key, days)
    return results(tenant, found, days)


def _as_they_are(tenant: Tenant, key: Sequence[tuple[str, str]], days: Sequence[date]) -> Iterator[tuple[date, Tables]]:
    own = pl.col("definition_version").is_in(sorted(version for _, version in key))
    for day in days:
        parts = [tenant.lake.scan(table, [day]).filter(own).drop("date").collect() for table in TABLES]
        yield day, Rows(*parts)


def _together(parts: Sequence[Tables], sets: Sequence[Versions], needed: Mapping[str, Sequence[str]]) -> Rows:
    """Rows of several generations; of each version once, and only of those that the day holds."""
    if len(parts) == 1:
        only = parts[0]
        return Rows(only.membership, only.transitions, only.sizes, only.suppressed)
    taken: set[str] = set()
    chosen = []
    for each in sets:
        mine = {version for cohort, version in each.items() if version in needed.get(cohort, ())} - taken
        taken |= mine
        chosen.append(pl.col("definition_version").is_in(sorted(mine)))
    return Rows(
        pl.concat([part.membership.filter(rule) for part, rule in zip(parts, chosen, strict=True)]),
        pl.concat([part.transitions.filter(rule) for part, rule in zip(parts, chosen, strict=True)]),
        pl.concat([part.sizes.filter(rule) for part, rule in zip(parts, chosen, strict=True)]),
        pl.concat([part.suppressed.filter(rule) for part, rule in zip(parts, chosen, strict=True)]),
    )
