"""State between days, by content: what each day was computed from, and the state before and after it.

A step that carries state walks through its days with a ``Trail``. Inputs and state of a day decide the state after it,
so that such a triple, once found, stays true. A walk begins at the newest stored state that the triples lead to and
goes on only while the state differs from the one that later days were made from. Deleting the folder costs time only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from pipelines.calendar import days_between
from pipelines.config import Tenant
from pipelines.storage.durable import replacing, write_bytes
from pipelines.storage.hashing import identifier, logical_sha256
from pipelines.storage.lake import Lake

#: A checkpoint is kept for every day whose ordinal divides by this, besides the newest one.
CHECKPOINT_DAYS = 7
Parts = Mapping[str, pl.DataFrame]
_ONE = timedelta(days=1)


@dataclass(frozen=True)
class Link:
    """A day that was computed: its inputs, and the states around it, each as a hash; the empty state has none."""

    inputs: str
    before: str
    after: str


@dataclass(frozen=True)
class Turn:
    """A day to compute.

    Attributes:
        day: the day.
        load: begin with the state at the end of this day; None: go on from where the state is.
        begin: begin with the empty state.
        publish: whether the day's result is wanted, or only the state after it.
    """

    day: date
    load: date | None
    begin: bool
    publish: bool


@dataclass
class Trail:
    """Days of one step.

    Attributes:
        folder: where states and links are.
        inputs: everything beside the state that a day's state depends on, as a hash, by day; without gaps.
        empty: the state before the first day; its names are those of every state's parts.
    """

    folder: Path
    inputs: Mapping[date, str]
    empty: Parts
    links: dict[date, Link] = field(init=False)
    _found: dict[date, Link] = field(init=False)
    _names: set[str] = field(init=False)
    _last: tuple[Parts, str] | None = None
    _empty: str = field(init=False)

    def __post_init__(self) -> None:
        self.links = _read(self.folder)
        self._found = dict(self.links)
        self._empty = digest(self.empty)
        self._names = {path.name for path in self.folder.glob("*.arrow")}

    def walk(self, wanted: Sequence[date], tail: Sequence[date] = ()) -> Iterator[Turn]:
        """Days to compute, in order; ``made`` must be called for each before the next one is asked for.

        Args:
            wanted: days to publish.
            tail: later days that are to be published as far as the state before them has changed.
        """
        asked, further = set(wanted), set(tail)
        at: date | None = None
        for target in sorted(asked):
            if at is not None and at >= target:
                continue
            for turn in self._lead(at, target):
                yield turn
                at = turn.day
            while at is not None and at + _ONE in asked | further and self._goes_on(at, asked):
                at += _ONE
                yield Turn(at, None, begin=False, publish=True)
        _write(self.folder, self.links)

    def _goes_on(self, at: date, asked: set[date]) -> bool:
        known = self._found.get(at)
        return at + _ONE in asked or known is None or known.after != self.links[at].after

    def _lead(self, at: date | None, target: date) -> Iterator[Turn]:
        """Turns from the state at hand, or a stored one that is nearer, to the target."""
        while True:
            stored = self._stored(target)
            load, begin = None, False
            if stored is not None and (at is None or stored > at):
                at, load = stored, stored
            elif at is None:
                at, begin = min([*self.inputs, target]) - _ONE, True
            at += _ONE
            yield Turn(at, load, begin, publish=at == target)
            if at == target:
                return

    def _stored(self, target: date) -> date | None:
        """Newest day before ``target`` with a stored state that a computation from the first day would reach."""
        before, reached = "", []
        for day in sorted(self.inputs):
            link = self.links.get(day)
            if day >= target or link is None or (link.inputs, link.before) != (self.inputs[day], before):
                break
            before = link.after
            reached.append(day)
        return next(
            (day for day in reversed(reached) if {self._name(day, part) for part in self.empty} <= self._names), None
        )

    def made(self, day: date, state: Parts) -> None:
        """Say what the state at the end of a day is; it is stored where that is worth a file."""
        if self._last is None or any(self._last[0].get(name) is not frame for name, frame in state.items()):
            # A state that was not touched is not hashed again.
            self._last = (dict(state), digest(state))
        after = self._last[1]
        known = day > min(self.inputs, default=day)
        before = self.links[day - _ONE].after if known else ""
        self.links[day] = Link(self.inputs.get(day, ""), before, "" if after == self._empty else after)
        if day >= max(self.inputs, default=day) or day.toordinal() % CHECKPOINT_DAYS == 0:
            self._save(day, state)

    def _save(self, day: date, parts: Parts) -> None:
        stem = self._stem(day)
        for old in self.folder.glob(f"{day.isoformat()}-*.arrow"):
            if not old.name.startswith(f"{stem}."):
                old.unlink(missing_ok=True)
        for part, frame in parts.items():
            name = self._name(day, part)
            with replacing(self.folder / name, sync=False) as temporary:
                frame.write_ipc(temporary)
            self._names.add(name)

    def load(self, day: date, part: str) -> pl.DataFrame:
        """One part of the stored state at the end of a day that a turn named."""
        return pl.read_ipc(self.folder / self._name(day, part))

    def _name(self, day: date, part: str) -> str:
        return f"{self._stem(day)}.{part}.arrow"

    def _stem(self, day: date) -> str:
        return f"{day.isoformat()}-{self.links[day].after[:32] or 'empty'}"


def digest(parts: Parts) -> str:
    """Hash of a state: its frames in the order of their names, rows in the order that they have."""
    return identifier(*(text for name in sorted(parts) for text in (name, logical_sha256(parts[name]))))


def states(tenant: Tenant, step: str) -> dict[date, str]:
    """Hash of the state with which each day of a step begins, as last computed; none where it begins empty."""
    return {day + _ONE: link.after for day, link in _read(folder(tenant, step)).items() if link.after}


def day_inputs(
    lake: Lake, reach: Mapping[str, int], seed: str, last: date, extra: Callable[[date], str] = lambda day: ""
) -> dict[date, str]:
    """What ``Trail`` needs as inputs: hash by day from the first with rows to ``last``.

    Args:
        lake: the tenant's lake.
        reach: tables whose partitions change the state of a day, and how many days back beside the day itself.
        seed: the meaning of the state, such as the versions of definitions.
        last: newest day of interest.
        extra: anything else that the state of a day depends on, beside the state before it.
    """
    files = {table: lake.files(table) for table in reach}
    filled = {day for table in reach for day, rows in lake.rows(table).items() if day is not None and rows}
    first = min((day for day in filled if day <= last), default=None)
    if first is None:
        return {}
    named = {
        day: [files[table].get(day - back * _ONE, "-") for table, days in reach.items() for back in range(days + 1)]
        for day in days_between(first, last)
    }
    return {day: identifier(seed, day.isoformat(), *names, extra(day)) for day, names in named.items()}


def folder(tenant: Tenant, step: str) -> Path:
    """Where the states of a step are."""
    return tenant.state / step


def _read(place: Path) -> dict[date, Link]:
    file = place / "links.json"
    if not file.is_file():
        return {}
    return {date.fromisoformat(day): Link(*link) for day, link in json.loads(file.read_text()).items()}


def _write(place: Path, links: Mapping[date, Link]) -> None:
    # Another run may have added days since; each link is true by itself, so that either one's may stay.
    merged = {**_read(place), **links}
    listed = {day.isoformat(): [link.inputs, link.before, link.after] for day, link in sorted(merged.items())}
    write_bytes(place / "links.json", json.dumps(listed, separators=(",", ":")).encode(), sync=False)
