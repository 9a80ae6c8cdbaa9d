"""Mistakes in the shape of a file, as its author sees them: pydantic's errors with the path in the file and a fix.

Unions report every branch that did not fit; only the branch that the author meant is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from pipelines.cohorts.language import bounds, carts, rules, values
from pipelines.cohorts.language.problems import Problem, nearest
from pipelines.signals.definitions import Param

_BRANCHES: Mapping[str, type[BaseModel]] = {
    "Percentile": bounds.Percentile,
    "Greatest": bounds.Greatest,
    "Multiple": bounds.Multiple,
    "AnyIn": values.AnyIn,
    "AtLeast": values.AtLeast,
    "AtMost": values.AtMost,
}
_TAGS: Mapping[str, type[BaseModel]] = {
    **{tag: model for model, tag in rules._MODELS.items()},
    **{tag: model for model, tag in values._MODELS.items()},
}
_VALUES = tuple(key for key, _ in values._KEYS)
_PARTS: Mapping[str, type[BaseModel]] = {
    "first": rules.Step,
    "then": rules.Step,
    "unless": rules.Step,
    "until": rules.Step,
    "greatest": carts.CartPercentile,
    "at_least": carts.GreatestValue,
}
_BOUND = "write $name of a parameter, {percentile: ...}, {greatest: [...]} or {multiple: ..., of: ...}"
_CONDITION = "write a text, true, false, {any_in: [...]}, {at_least: $name} or {at_most: $name}"


@dataclass(frozen=True)
class _Place:
    """Where an error stands in the data.

    Attributes:
        path: keys and places from the top.
        node: what stands there.
        branches: label of each union on the way, with the path and what stands there.
        holder: the model that the last key is of, where known.
        missing: key that is not there.
    """

    path: tuple[str, ...]
    node: Any
    branches: tuple[tuple[tuple[str, ...], str, Any], ...]
    holder: type[BaseModel] | None
    missing: str | None = None


def mistakes(file: str, data: Any, error: ValidationError) -> list[Problem]:
    """What is wrong with the shape of a definition, each place once, in the order of the errors."""
    listed = [(_place(data, each["loc"]), each) for each in error.errors(include_url=False)]
    labels: dict[tuple[str, ...], list[str]] = {}
    for place, _ in listed:
        for path, label, _node in place.branches:
            labels.setdefault(path, []).append(label)
    found: dict[tuple[tuple[str, ...], str], tuple[str, str]] = {}
    for place, each in listed:
        wrong = next((path for path, label, node in place.branches if _meant(node, labels[path]) != label), None)
        if wrong is None:
            found.setdefault(*_said(place, each))
        elif _meant(_at(data, wrong), labels[wrong]) is None:
            found.setdefault((wrong, ""), _no_branch(_at(data, wrong), labels[wrong]))
    paths = [path for path, _ in found]
    # A key that is written wrong is not missing too.
    misspelt = {(*path[:-1], fix[14:-2]) for (path, _), (_, fix) in found.items() if fix.startswith("did you mean")}
    return [
        Problem(file, ".".join((*path, *([key] if key else []))) or "(top)", problem, fix)
        for (path, key), (problem, fix) in found.items()
        if not (problem == _FEW and any(len(other) > len(path) and other[: len(path)] == path for other in paths))
        and not (problem == _MISSING and (*path, key) in misspelt)
    ]


def _place(data: Any, loc: Iterable[int | str]) -> _Place:
    path: tuple[str, ...] = ()
    node, tagged, missing = data, False, None
    branches: list[tuple[tuple[str, ...], str, Any]] = []
    holder: type[BaseModel] | None = None
    known: type[BaseModel] | None = rules.Cohort
    for part in loc:
        if tagged and isinstance(node, dict) and part in (rules._kind(node), values._kind(node)):
            tagged, known = False, _TAGS[str(part)]
        elif isinstance(node, dict | list) and (part in node or isinstance(part, int)):
            inside: Any = node
            node, path = inside[part], (*path, str(part))
            tagged = path[0] != "params" and path[-1] != "where" and path != ("context",)
            holder, known = known, _model(path)
        elif str(part) in _BRANCHES or not str(part).isidentifier() or part in ("str", "bool"):
            branches.append((path, str(part), node))
            known = _BRANCHES.get(str(part))
        else:
            missing = str(part)
    return _Place(path, node, tuple(branches), holder, missing)


def _model(path: tuple[str, ...]) -> type[BaseModel] | None:
    if path[0] == "params":
        return Param
    return _PARTS.get([part for part in path if not part.isdigit()][-1])


def _at(data: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        data = data[int(part)] if isinstance(data, list) else data[part]
    return data


def _meant(node: Any, labels: list[str]) -> str | None:
    """The branch of a union that the author meant; None when none resembles what stands there."""
    if isinstance(node, str):
        return next((label for label in labels if label == "constrained-str"), None)
    if not isinstance(node, dict):
        return None

    def likeness(label: str) -> float:
        if label.startswith("tagged-union"):
            return 1.0 if values._kind(node) else 0.0
        fields = _BRANCHES[label].model_fields if label in _BRANCHES else ()
        return sum(1.0 if key in fields else 0.9 for key in node if nearest(str(key), fields).startswith("did"))

    best = max(labels, key=likeness)
    return best if likeness(best) > 0 else None


def _no_branch(node: Any, labels: list[str]) -> tuple[str, str]:
    if "AnyIn" in labels:
        return f"{_shown(node)} is no condition", _CONDITION
    if isinstance(node, int | float) and not isinstance(node, bool):
        return _NUMBER.format(node), _NAME
    if any(label.startswith("tagged-union") for label in labels):
        return f"{_shown(node)} is not a value", f"write $name of a parameter or one of: {', '.join(_VALUES)}"
    return f"{_shown(node)} is not a bound", _BOUND


_NUMBER = "{} is written in the rule"
_NAME = "give it a name and a unit in params, and write $name"
_MISSING = "is missing"
_FEW = "has too few parts"


def _shown(node: Any) -> str:
    if isinstance(node, dict):
        return f"what has {', '.join(map(str, node))}" if node else "{}"
    return repr(node) if isinstance(node, str | int | float | bool) else f"a {type(node).__name__}"


def _said(place: _Place, error: Any) -> tuple[tuple[tuple[str, ...], str], tuple[str, str]]:
    kind, path = error["type"], place.path
    if kind == "missing":
        return (path, str(place.missing)), (_MISSING, "add it")
    if kind == "extra_forbidden":
        return (path, ""), ("is not a key here", nearest(path[-1], place.holder.model_fields if place.holder else ()))
    return (path, ""), _text(place, error)


def _text(place: _Place, error: Any) -> tuple[str, str]:
    kind, node = error["type"], place.node
    if kind in ("string_type", "string_pattern_mismatch") and place.path != ("id",):
        if isinstance(node, str) or (isinstance(node, int | float) and not isinstance(node, bool)):
            return _NUMBER.format(node), _NAME
        return f"{_shown(node)} is no text", "write a text"
    if kind == "literal_error":
        return f"{_shown(node)} is not known here", nearest(
            str(node), error["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        )
    if kind == "too_short":
        return _FEW, "add the others"
    problem, _, fix = str(error["msg"]).removeprefix("Value error, ").partition("; ")
    return problem, fix or "correct it"
