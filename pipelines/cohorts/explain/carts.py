"""The rules about carts for one visitor: which cart was left, what it is worth, which of its products are scarce."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

from pipelines.cohorts.catalogue import CartRules, cart_rules
from pipelines.cohorts.explain.cart_path import Cart, Path
from pipelines.cohorts.explain.case import At, Case, Part, told
from pipelines.cohorts.explain.rows import Row
from pipelines.cohorts.explain.shown import duration, gap, plain, written
from pipelines.cohorts.language import phrases
from pipelines.cohorts.language.carts import CartSignal, CartValue
from pipelines.cohorts.language.rules import All, Cohort, Without
from pipelines.cohorts.language.words import leaf_in_words
from pipelines.cohorts.sql.carts import bounds_sql
from pipelines.cohorts.sql.scope import Context


def of_carts(case: Case, at: At) -> Part:
    """A rule about carts at the end of the day."""
    rules = cart_rules(dict(case.definitions))
    assert rules  # noqa: S101
    base = case.definitions[rules.abandoned]
    rule = at.cohort.rule
    valuable = isinstance(rule, All) and any(isinstance(part, CartValue) for part in rule.all)
    path = Path(case, rules, _bounds(case, at.cohort) if valuable else {})
    carts = sorted(path.walk().values(), key=lambda cart: (cart.last or cart.over_at, cart.key))
    left = _left(base, rules, carts, at.x)
    if isinstance(rule, Without):
        return left
    assert isinstance(rule, All)  # noqa: S101
    says = f"is {'' if left.holds else 'not '}in the cohort {base.id}: {left.says}"
    member = Part("cohort", f"in the cohort {base.id}", left.holds, True, says, gap=left.gap, parts=[left])
    leaf = rule.all[1]
    words = leaf_in_words(at.cohort, leaf, True)
    if isinstance(leaf, CartValue):
        other = _worth(at.cohort, leaf, path, carts, words)
    else:
        assert isinstance(leaf, CartSignal)  # noqa: S101
        other = _scarce(leaf, path, rules, carts, at.x, words)
    return Part("all", "", member.holds and other.holds, parts=[member, other])


def _bounds(case: Case, cohort: Cohort) -> dict[date, int]:
    zone, currency = case.tenant.zone, case.tenant.config.currency
    ctx = Context(case.definitions, case.day.date, zone, currency)
    return {row[0]: int(row[1]) for row in case.query(bounds_sql(ctx, cohort))}


def _left(base: Cohort, rules: CartRules, carts: list[Cart], x: int) -> Part:
    words = leaf_in_words(base, base.rule, True)
    left = [cart for cart in carts if cart.left]
    if left:
        cart = left[-1]
        assert cart.last is not None  # noqa: S101
        over = cart.last + rules.ttl - x
        said = f"{_cart(cart)} was left at {told(min(cart.left))}, its last step was at {told(cart.last)}"
        rows = [row for each in left for row in each.rows]
        more = f" (and {len(left) - 1:,} more)" if len(left) > 1 else ""
        return Part("without", words, True, True, f"{said}, {duration(over)} left{more}", gap=said, rows=rows)
    waiting = [cart for cart in carts if cart.due is not None and cart.products]
    if waiting:
        cart = waiting[-1]
        assert cart.due is not None  # noqa: S101
        said = f"{_cart(cart)}: {duration(cart.due - x)} of silence to go"
        return Part("without", words, False, True, said, gap=said, rows=list(cart.rows))
    over_carts = [cart for cart in carts if cart.over]
    if over_carts:
        cart = max(over_carts, key=lambda each: each.over_at)
        said = f"no open cart; cart {cart.key} ended at {told(cart.over_at)} because {cart.over}"
        return Part("without", words, False, True, said, gap=said, rows=[cart.ending] if cart.ending else [])
    nothing = "no open cart"
    return Part("without", words, False, True, nothing, gap=nothing, rows=[row for each in carts for row in each.rows])


def _worth(cohort: Cohort, leaf: CartValue, path: Path, carts: list[Cart], words: str) -> Part:
    holding = [cart for cart in carts if cart.products]
    if not holding:
        return Part("cart value", words, False, True, "no open cart", gap="no open cart")
    cart = max(holding, key=lambda each: (each.valuable, bool(each.left), each.value(path.currency), each.key))
    value, bound = Fraction(cart.value(path.currency)), Fraction(path.bound)
    leaving = cart.valuable and value < bound
    if leaving:
        bound = bound * cohort.param(leaf.leave_below) / 100
    missed = gap(value, "at_least", bound, "minor")
    need = "stays with" if leaving else "needs"
    said = f"{_cart(cart)} is worth {written(value, 'minor')}, {need} at least {written(bound, 'minor')}: {missed}"
    floor = path.bound == path.rules.floor
    share = leaf.at_least.greatest[1]
    of = f"the {phrases.ordinal(cohort, share.percentile)} percentile of the open carts of the days before"
    return Part(
        "cart value",
        words,
        cart.valuable,
        True,
        said if cart.left or cart.valuable else f"{said}, and the cart was not left yet",
        value=plain(value, "minor"),
        bound=plain(bound, "minor"),
        comparison="at_least",
        of_leaving=leaving,
        source=None if floor else of,
        gap=missed,
        rows=list(cart.rows),
    )


def _scarce(leaf: CartSignal, path: Path, rules: CartRules, carts: list[Cart], x: int, words: str) -> Part:
    holding = [cart for cart in carts if cart.products]
    if not holding:
        return Part("cart signal", words, False, True, "no open cart", gap="no open cart")
    cart = max(holding, key=lambda each: (each.scarce, bool(each.left), each.last or 0, each.key))
    crossings: list[Row] = path.scarce_now(cart, x + 1, after=False)
    states = phrases.joined(leaf.any_in, "or")
    now = ", ".join(f"{row['product_id']} is {row['to_state']} since {told(row['at'])}" for row in crossings)
    if cart.scarce:
        going = f"none is {states} since {told(cart.quiet_since)}" if cart.quiet_since is not None else now
        left = f", {duration(cart.quiet_since + rules.quiet - x)} left" if cart.quiet_since is not None else ""
        said = f"{_cart(cart)}: {going}{left}"
    elif cart.left:
        said = f"{_cart(cart)}: none was {states} when it was left at {told(cart.left[-1])}"
        said += f"; now {now}" if now else ""
    else:
        said = f"{_cart(cart)} was not left yet; {now or f'none is {states}'}"
    return Part(
        "cart signal", words, cart.scarce, True, said, value=len(crossings), gap=said, rows=[*cart.rows, *crossings]
    )


def _cart(cart: Cart) -> str:
    many = len(cart.products)
    return f"cart {cart.key} with {many:,} product{'' if many == 1 else 's'}"
