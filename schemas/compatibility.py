"""What changed between two versions of a contract, whether it is allowed, and how each reader meets what is not.

Allowed within a major version: nullable columns appended at the right end, more values of an enum, a lower minimum;
each with the next minor version. How readers break is in ``schemas.readers``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from schemas.readers import Change, breaks
from schemas.versions import Promise

#: Kinds that are stored as the same type, so that files read the same and mean something else.
_STORED = {"quantity": "int64", "json": "string"}


@dataclass(frozen=True)
class Finding:
    """One difference that is not allowed, or not published.

    Attributes:
        name: dataset, file or event type.
        column: the column; None where it is about the whole.
        change: kind of change.
        says: what changed, in words, with the way out where there is one.
        readers: reader -> how it breaks; empty where no reader would.
    """

    name: str
    column: str | None
    change: str
    says: str
    readers: Mapping[str, str]


def check(now: Mapping[str, Promise], ledger: Mapping[str, Sequence[Promise]]) -> list[Finding]:
    """Everything that keeps the contracts from being published as they are.

    Args:
        now: the contracts of the code.
        ledger: the versions that are published, oldest first.
    """
    findings: list[Finding] = []
    for name in sorted({*now, *ledger}):
        versions = list(ledger.get(name, ()))
        for before, after in pairwise(versions):
            findings += _between(before, after)
        if name not in now:
            says = f"{versions[-1].version} is published and the contract is gone; a dataset ends with a major version"
            findings.append(_finding(versions[-1], None, "removed", says))
        else:
            findings += _against_ledger(now[name], versions)
    return findings


def _against_ledger(promise: Promise, versions: Sequence[Promise]) -> Iterator[Finding]:
    same_major = [each for each in versions if each.number[0] == promise.number[0]]
    if not same_major:
        yield _unpublished(promise)
        return
    newest = same_major[-1]
    if promise == newest:
        return
    yield from _between(newest, promise, following=promise.version != newest.version)
    if any(differences(newest, promise)):
        return
    if promise.version == newest.version and _content(promise) != _content(newest):
        says = f"it changed and is still {newest.version}; make it {_next(newest)} and run murmur schema publish"
        yield Finding(promise.name, None, "unversioned", says, {})
    elif promise.version == _next(newest):
        yield _unpublished(promise)


def _between(before: Promise, after: Promise, *, following: bool = True) -> Iterator[Finding]:
    """Differences that are not allowed between two versions in a row."""
    if after.number[0] != before.number[0]:
        return
    yield from differences(before, after)
    if following and after.version != _next(before):
        says = f"{before.version} is followed by {after.version}, not by {_next(before)}"
        yield Finding(after.name, None, "version", says, {})


def _unpublished(promise: Promise) -> Finding:
    return Finding(
        promise.name, None, "unpublished", f"{promise.version} is not in the ledger; run murmur schema publish", {}
    )


def _next(promise: Promise) -> str:
    major, minor = promise.number
    return f"{major}.{minor + 1}"


def _content(promise: Promise) -> tuple[Any, ...]:
    columns = sorted(promise.columns, key=lambda column: str(column["name"]))
    return promise.form, promise.key, tuple(columns) if promise.form == "event" else promise.columns


def differences(before: Promise, after: Promise) -> Iterator[Finding]:
    """Every difference that breaks a reader, in the order of the columns; nothing when the change is additive."""
    yield from _gone(before, after)
    if before.form != "event":
        yield from _moved(before, after)
    for column in before.columns:
        if column["name"] in after.names:
            yield from _altered(before, column, after.column(column["name"]))
    for column in after.columns:
        if column["name"] not in before.names and column["required"] and before.form != "event":
            says = "it is new and required, and rows that were published before do not have it; make it nullable"
            yield _finding(before, column["name"], "required", says)
    if before.key != after.key:
        yield _finding(before, None, "key", f"the key was {_list(before.key)} and is {_list(after.key)}")


def _gone(before: Promise, after: Promise) -> Iterator[Finding]:
    for place, column in enumerate(before.columns):
        if column["name"] in after.names:
            continue
        other = after.columns[place] if place < len(after.columns) else None
        if other is not None and other["name"] not in before.names and _stored(other) == _stored(column):
            yield _finding(before, column["name"], "renamed", f"it is called {other['name']} now; keep the old name")
        else:
            yield _finding(before, column["name"], "removed", "it is gone; keep it, null where nothing is known")


def _moved(before: Promise, after: Promise) -> Iterator[Finding]:
    kept = [name for name in before.names if name in after.names]
    order = [name for name in after.names if name in kept]
    for name in (ours for ours, theirs in zip(kept, order, strict=True) if ours != theirs):
        old, new = before.names.index(name) + 1, after.names.index(name) + 1
        yield _finding(before, name, "reordered", f"it was column {old} and is column {new}")
    renamed = {name for place, name in enumerate(after.names[: len(before.names)]) if before.names[place] not in kept}
    last = max((after.names.index(name) for name in kept), default=-1)
    for name in after.names[:last]:
        if name not in before.names and name not in renamed:
            says = f"it is new and stands before {after.names[last]}; append it at the right end"
            yield _finding(before, name, "inserted", says)


def _altered(before: Promise, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Finding]:
    name = str(old["name"])
    if old["kind"] != new["kind"] or old.get("format") != new.get("format"):
        same = _stored(old) == _stored(new) and before.form != "event"
        was, is_now = (f"{each['kind']} {each.get('format', '')}".strip() for each in (old, new))
        yield _finding(before, name, "reinterpreted" if same else "retyped", f"it was {was} and is {is_now}")
    if new["required"] and not old["required"] and before.form != "event":
        yield _finding(before, name, "required", "it is required now, and rows published before may lack it")
    if (old["required"] and not new["required"]) or (new.get("nullable") and not old.get("nullable")):
        yield _finding(before, name, "nullable", "it was always there and may be null now")
    lost = _lost_values(old.get("enum"), new.get("enum"))
    if lost:
        yield _finding(before, name, "narrowed", f"{lost} may stand in what was published before")
    least, floor = old.get("minimum"), new.get("minimum")
    if floor is not None and (least is None or floor > least):
        yield _finding(before, name, "narrowed", f"values below {floor} may stand in what was published before")


def _lost_values(old: Sequence[str] | None, new: Sequence[str] | None) -> str:
    if new is None:
        return ""
    return "values outside the list" if old is None else _list(sorted(set(old) - set(new)))


def _stored(column: Mapping[str, Any]) -> str:
    return _STORED.get(column["kind"], str(column["kind"]))


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


def _finding(promise: Promise, column: str | None, change: Change, says: str) -> Finding:
    return Finding(promise.name, column, change, says, breaks(promise.form, change))
