"""The canonical form of a definition and the version that is its hash: what means the same is written the same.

Parameters stand as numbers with their unit, words and files are left out, and so is every key at its default, so that a
key added to the language later changes no version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from pipelines.signals.definitions import Definition

#: Lists whose order means nothing; of these a part that stands twice means no more than once.
_SETS = ("all", "any", "none", "any_in", "without", "event", "unless", "until", "greatest")
#: Lists whose order means nothing, where a part that stands twice counts twice.
_BAGS = ("add", "times")


def canonical(definition: Definition) -> dict[str, Any]:
    """A definition as plain data that is equal for definitions of equal meaning.

    Returns:
        Its keys without ``description`` and ``params``; every ``$name`` as ``[number, unit]``, see ``units.parse``.
    """
    data = definition.model_dump(mode="json", exclude={"description", "params"}, exclude_defaults=True)

    def resolve(name: str) -> list[Any]:
        return [definition.param(name), definition.params[name.removeprefix("$")].unit]

    found: dict[str, Any] = _plain(data, resolve)
    return found


def definition_version(definition: Definition) -> str:
    """First 12 hex digits of the sha256 of the canonical form and the versions of what the definition names."""
    needs = getattr(definition, "_needs", {})
    text = _text([canonical(definition), needs] if needs else canonical(definition))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _text(data: Any) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(data: Any, resolve: Callable[[str], list[Any]]) -> Any:
    if isinstance(data, Mapping):
        found = {key: _listed(key, _plain(part, resolve)) for key, part in sorted(data.items())}
        return _flat(found)
    if isinstance(data, list):
        return [_plain(part, resolve) for part in data]
    return resolve(data) if isinstance(data, str) and data.startswith("$") else data


def _flat(data: dict[str, Any]) -> Any:
    """A rule without groups that say nothing: one part alone, or a group inside a group of the same kind."""
    key = next(iter(data)) if len(data) == 1 else ""
    if key not in ("all", "any") or not isinstance(data[key], list):
        return data
    parts = [
        each for part in data[key] for each in (part[key] if isinstance(part, dict) and [*part] == [key] else [part])
    ]
    parts = _listed(key, parts)
    return parts[0] if len(parts) == 1 else {key: parts}


def _listed(key: str, part: Any) -> Any:
    """A list in the order of its texts where order means nothing; a part of a rule stands once."""
    if not isinstance(part, list) or (key not in _SETS and key not in _BAGS):
        return part
    by_text = {_text(each): each for each in part}
    return [by_text[text] for text in sorted(by_text)] if key in _SETS else sorted(part, key=_text)
