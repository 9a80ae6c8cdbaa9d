"""Everything that can be wrong in definitions beyond the shape of a file: words, units, windows, references, cycles.

The shape is checked by the models, whose mistakes ``reading`` says in the same form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipelines.cohorts.language.check_carts import carts, one_of_a_kind
from pipelines.cohorts.language.check_rules import holds_for_nobody_known, rule
from pipelines.cohorts.language.check_values import Scope, stream, value, window
from pipelines.cohorts.language.problems import Problem, nearest, refuse
from pipelines.cohorts.language.rules import Cohort, Left, Member, Without, leaves
from pipelines.signals.catalogue import Signal, references


def check(cohorts: Mapping[str, Cohort], states: Mapping[str, Sequence[str]]) -> list[Problem]:
    """Every problem of some definitions that are to be used together.

    Args:
        cohorts: id -> definition with the tenant's parameters.
        states: signal id -> its states, see ``signal_states``.

    Returns:
        Sorted by file, then in the order of the file's parts.
    """
    scopes = {key: Scope(cohort, cohorts, states) for key, cohort in sorted(cohorts.items())}
    for scope in scopes.values():
        _definition(scope)
    one_of_a_kind(scopes)
    for cycle in _cycles(cohorts):
        first = cycle[0]
        way = " -> ".join([*cycle, first])
        scopes[first].say("rule", f"cohorts refer to each other in a circle: {way}", "remove one of the references")
    found = [problem for scope in scopes.values() for problem in scope.problems]
    return sorted(dict.fromkeys(found), key=lambda problem: problem.file)


def check_or_raise(cohorts: Mapping[str, Cohort], states: Mapping[str, Sequence[str]]) -> None:
    """Refuse definitions that have a problem.

    Raises:
        UsageError: the first problem with file, path and fix, and how many more there are.
    """
    refuse(check(cohorts, states))


def signal_states(signals: Mapping[str, Signal]) -> dict[str, tuple[str, ...]]:
    """States by signal id, of signals that have states; the normal one comes last."""
    found = {}
    for key, signal in signals.items():
        named = [*(each.state for each in signal.states), *(each.state for each in signal.levels)]
        if named:
            found[key] = tuple(dict.fromkeys([*named, *([signal.normal] if signal.normal else [])]))
    return found


def _definition(scope: Scope) -> None:
    cohort = scope.cohort
    rule(scope, "rule", cohort.rule)
    if holds_for_nobody_known(scope, cohort.rule):
        scope.say("rule", "holds for everyone who never did anything", "add a part that must happen")
    for name, shown in cohort.context.items():
        value(scope, f"context.{name}", shown)
    if cohort.of_cart:
        carts(scope)
    else:
        _endings(scope)
    _family(scope)
    used = references(cohort.model_dump(exclude={"params", "description"}))
    for name in cohort.params:
        if name not in used:
            scope.say(f"params.{name}", "nothing uses it", f"remove it or write ${name} where it belongs")


def _endings(scope: Scope) -> None:
    cohort = scope.cohort
    window(scope, "ttl", cohort.ttl)
    window(scope, "dwell", cohort.dwell)
    window(scope, "cooldown", cohort.cooldown)
    absent = any(isinstance(leaf, Without) for leaf in leaves(cohort.rule))
    held = ("dwell", "cooldown") if absent else ("dwell", "cooldown", "ttl")
    for name in () if scope.by_day else held:
        if getattr(cohort, name) is not None:
            scope.say(name, "holds no membership at instants", "write evaluate: day, or remove it")
    if cohort.until and not absent:
        scope.say("until", "ends what a rule of absence began, and there is none", "remove it, or add a without leaf")
        return
    for place, name in enumerate(cohort.until):
        if name == "cart_emptied":
            scope.say(f"until.{place}", "'cart_emptied' ends abandoned carts only", "write remove, or remove it")
        else:
            stream(scope, f"until.{place}", name)


def _family(scope: Scope) -> None:
    field = scope.cohort.for_each
    if field is None or scope.cohort.of_cart:
        return
    known = {name for each in scope.streams.values() for name, kind in each.fields.items() if kind == "text"}
    if field not in known:
        scope.say(
            "for_each", f"{field!r} is not a text field of any stream of {scope.cohort.subject}s", nearest(field, known)
        )
    elif all(isinstance(leaf, Member | Left) for leaf in leaves(scope.cohort.rule)):
        scope.say("for_each", "no part of the rule has the field", "compare events that have it")


def _cycles(cohorts: Mapping[str, Cohort]) -> list[list[str]]:
    """Circles of references, each once and from its least id on."""
    edges = {
        key: sorted({named for leaf in leaves(each.rule) if (named := _named(leaf)) in cohorts})
        for key, each in sorted(cohorts.items())
    }
    found: dict[tuple[str, ...], None] = {}
    done: set[str] = set()

    def visit(key: str, way: list[str]) -> None:
        if key in way:
            circle = way[way.index(key) :]
            turn = circle.index(min(circle))
            found[tuple(circle[turn:] + circle[:turn])] = None
        elif key not in done:
            for other in edges[key]:
                visit(other, [*way, key])
            done.add(key)

    for key in edges:
        visit(key, [])
    return [list(circle) for circle in found]


def _named(leaf: object) -> str:
    name = leaf.cohort if isinstance(leaf, Member) else leaf.left if isinstance(leaf, Left) else ""
    return name.partition(":")[0]
