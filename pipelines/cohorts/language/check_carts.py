"""Checks of rules about carts, which have an evaluation of their own that knows three rules and no others."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.cohorts.language.carts import CartSignal, CartValue
from pipelines.cohorts.language.check_values import Scope, param
from pipelines.cohorts.language.problems import nearest
from pipelines.cohorts.language.rules import All, Cohort, Member, Without

_UNTIL = ("cart_emptied", "order")


def carts(scope: Scope) -> None:
    """Check a cohort of carts: an absence, or an absence and a leaf about the cart."""
    cohort = scope.cohort
    for key in ("for_each", "dwell", "cooldown"):
        if getattr(cohort, key):
            scope.say(key, "is not for cohorts of carts", "remove it")
    if cohort.subject != "visitor":
        scope.say("subject", "a cart belongs to a visitor", "write subject: visitor")
    if isinstance(cohort.rule, Without):
        _absence(scope, cohort.rule)
    elif _parts(cohort) is not None:
        _refined(scope)
    else:
        fix = "write all: [{cohort: <abandoned carts>}, one leaf about the cart], or one absence alone"
        scope.say("rule", "is not one of the rules of carts", fix)


def _absence(scope: Scope, found: Without) -> None:
    if found.without != ("order",):
        scope.say("rule.without", "carts are abandoned without an order", "write without: [order]")
    if found.where != {"cart_open": True}:
        scope.say("rule.where", "only an open cart is abandoned", "write where: {cart_open: true}")
    if scope.by_day:
        scope.say("evaluate", "a cart is abandoned at an instant", "write evaluate: instant")
    for place, name in enumerate(scope.cohort.until):
        if name not in _UNTIL:
            scope.say(f"until.{place}", f"{name!r} does not end an abandoned cart", nearest(name, _UNTIL))
    within = param(scope, "rule.within", found.within, "duration")
    if scope.cohort.ttl is None:
        scope.say("ttl", "a rule of absence needs one", "add ttl: $ttl and the parameter")
        return
    ttl = param(scope, "ttl", scope.cohort.ttl, "duration")
    if ttl and within and ttl <= within:
        scope.say("ttl", f"{scope.cohort.ttl} ends membership before {found.within} begins it", "let it be longer")


def _parts(cohort: Cohort) -> tuple[Member, CartValue | CartSignal] | None:
    if not isinstance(cohort.rule, All) or len(cohort.rule.all) != 2:
        return None
    parent, leaf = cohort.rule.all
    return (parent, leaf) if isinstance(parent, Member) and isinstance(leaf, CartValue | CartSignal) else None


def _refined(scope: Scope) -> None:
    parts = _parts(scope.cohort)
    assert parts  # noqa: S101
    parent, leaf = parts
    target = scope.found.get(parent.cohort)
    abandoned = [key for key, each in scope.found.items() if each.of_cart and isinstance(each.rule, Without)]
    if target is None or parent.cohort not in abandoned:
        said = f"{parent.cohort!r} is not a cohort of abandoned carts"
        scope.say("rule.all.0.cohort", said, nearest(parent.cohort, abandoned))
    path = "rule.all.1"
    if isinstance(leaf, CartValue):
        floor, share = leaf.at_least.greatest
        param(scope, f"{path}.at_least.greatest.0", floor, "minor")
        param(scope, f"{path}.at_least.greatest.1.percentile", share.percentile, "percent")
        param(scope, f"{path}.at_least.greatest.1.partitions", share.partitions, "count")
        kept = param(scope, f"{path}.leave_below", leaf.leave_below, "percent")
        if kept is not None and kept > 100:
            said = "a cart leaves below more than the bound it entered at"
            scope.say(f"{path}.leave_below", said, "write at most 100 percent")
        return
    if leaf.signal != "scarcity_state":
        scope.say(f"{path}.signal", f"{leaf.signal!r} is not followed for carts", "write scarcity_state")
    param(scope, f"{path}.leave_after", leaf.leave_after, "duration")
    known = scope.states.get("scarcity_state", ())
    for place, state in enumerate(leaf.any_in):
        if known and state not in known:
            scope.say(f"{path}.any_in.{place}", f"{state!r} is not a state of {leaf.signal}", nearest(state, known))


def _kind(cohort: Cohort) -> type | None:
    """Which of the three rules a cohort has; None when it has none of them."""
    if isinstance(cohort.rule, Without) and cohort.of_cart:
        return Without
    parts = _parts(cohort)
    return type(parts[1]) if parts else None


def one_of_a_kind(scopes: Mapping[str, Scope]) -> None:
    """Say of every cart cohort after the first of its kind that only one is computed."""
    first: dict[type, str] = {}
    for key, scope in scopes.items():
        kind = _kind(scope.cohort)
        if kind is None:
            continue
        if kind in first:
            said = f"cohorts {first[kind]!r} and {key!r} have the same rule; only one of a kind is computed for carts"
            scope.say("rule", said, f"change the parameters of {first[kind]!r} instead")
        first.setdefault(kind, key)
