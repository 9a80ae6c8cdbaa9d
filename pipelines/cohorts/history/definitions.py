"""Which definition of a cohort counts on which day: the register of every definition that was ever computed.

``<home>/definitions/<tenant>/`` holds ``<cohort>/<version>.json``, the resolved definitions, and ``activations.json``.
Like what has landed it is an input and not computed from anything, so that an old definition outlives its file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipelines.config import Tenant
from pipelines.storage.durable import write_bytes

ACTIVATIONS = "activations.json"


@dataclass(frozen=True)
class Activation:
    """A definition counts from a day on; from the beginning where it has none. An empty version ends the cohort."""

    version: str
    active_from: date | None
    first_seen: str
    announce: bool = False


@dataclass(frozen=True)
class Timeline:
    """Activations of each cohort, oldest first. The last one that has begun by a day counts on it."""

    cohorts: Mapping[str, tuple[Activation, ...]] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether any cohort has had more than one definition."""
        return any(len(each) > 1 for each in self.cohorts.values())

    def _index(self, cohort: str, day: date) -> int:
        listed = self.cohorts[cohort]
        return max(n for n, each in enumerate(listed) if n == 0 or each.active_from is None or each.active_from <= day)

    def active(self, day: date) -> dict[str, str]:
        """Version by cohort on a day; cohorts that have ended are not there."""
        found = {cohort: listed[self._index(cohort, day)].version for cohort, listed in self.cohorts.items()}
        return {cohort: version for cohort, version in found.items() if version}

    def needed(self, day: date) -> dict[str, list[str]]:
        """Versions by cohort that are computed for a day: the active one, and beside it those that follow it."""
        needed = {
            cohort: [each.version for each in listed[self._index(cohort, day) :]]
            for cohort, listed in self.cohorts.items()
        }
        return {cohort: list(dict.fromkeys(v for v in versions if v)) for cohort, versions in needed.items()}

    def switching(self, day: date) -> set[str]:
        """Cohorts of which another definition takes over at the start of a day."""
        before, now = self.active(day - timedelta(days=1)), self.active(day)
        return {cohort for cohort in {*before, *now} if before.get(cohort) != now.get(cohort)}

    def announced(self, day: date) -> set[str]:
        """Cohorts of which a change on this day is to be sent."""
        return {cohort for cohort in self.switching(day) if self.cohorts[cohort][self._index(cohort, day)].announce}


def timeline(tenant: Tenant) -> Timeline:
    """What is registered."""
    file = register_of(tenant) / ACTIVATIONS
    try:
        stamp = file.stat()
    except FileNotFoundError:
        return Timeline()
    # Every day of every step asks, and a file that is replaced has another time or number.
    return _read(file, stamp.st_mtime_ns, stamp.st_ino, stamp.st_size)


def register_of(tenant: Tenant) -> Path:
    """Folder of the register."""
    return tenant.home / "definitions" / tenant.id


@lru_cache(maxsize=64)
def _read(file: Path, *_stamp: int) -> Timeline:
    listed = json.loads(file.read_text())
    return Timeline({cohort: tuple(_activation(row) for row in rows) for cohort, rows in sorted(listed.items())})


def _activation(row: dict[str, Any]) -> Activation:
    since = date.fromisoformat(row["active_from"]) if row["active_from"] else None
    return Activation(row["version"], since, row["first_seen"], row["announce"])


def proposed(
    known: Timeline,
    versions: Mapping[str, str],
    wishes: Mapping[str, tuple[date | None, bool]],
    newest: date | None,
    now: datetime,
) -> Timeline:
    """The timeline after the present definitions were seen.

    Args:
        known: what is registered.
        versions: present version by cohort; a registered cohort that is not among them ends.
        wishes: by cohort, from when the present definition counts and whether the change is sent.
        newest: newest computed day; a change counts from the next one on where nothing is wished.
        now: when they were seen.
    """
    following = newest + timedelta(days=1) if newest else None
    cohorts = {}
    for cohort in sorted({*known.cohorts, *versions}):
        listed, version = list(known.cohorts.get(cohort, ())), versions.get(cohort, "")
        since, announce = wishes.get(cohort, (None, False))
        if not listed:
            listed = [Activation(version, None, now.isoformat())]
        elif listed[-1].version != version:
            listed.append(Activation(version, since or following, now.isoformat(), announce))
        elif len(listed) > 1 and cohort in wishes:
            listed[-1] = Activation(version, since or listed[-1].active_from, listed[-1].first_seen, announce)
        cohorts[cohort] = tuple(listed)
    return Timeline(cohorts)


def register(tenant: Tenant, lines: Timeline, definitions: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep a timeline and the definitions of its newest activations; what is there already stays.

    Args:
        tenant: whose.
        lines: what ``proposed`` gave.
        definitions: the resolved definition by cohort, as plain data.
    """
    root = register_of(tenant)
    data = {}
    for cohort, listed in lines.cohorts.items():
        kept = root / cohort / f"{listed[-1].version}.json"
        if cohort in definitions and not kept.is_file():
            write_bytes(kept, _json(dict(definitions[cohort])))
        data[cohort] = [
            {**asdict(each), "active_from": each.active_from and each.active_from.isoformat()} for each in listed
        ]
    # Written last: what it names is there.
    file = root / ACTIVATIONS
    if not file.is_file() or file.read_bytes() != _json(data):
        write_bytes(file, _json(data))


def definition(tenant: Tenant, cohort: str, version: str) -> dict[str, Any] | None:
    """A registered definition as plain data; None where it is not there."""
    file = register_of(tenant) / cohort / f"{version}.json"
    return json.loads(file.read_text()) if file.is_file() else None


def _json(data: object) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
