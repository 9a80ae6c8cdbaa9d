"""A tenant's cohorts, and the settings that the cart rules resolve to. How they are evaluated is elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.cohorts.rules import AllRule, Cohort, PropertyLeaf, SignalLeaf, WithoutRule
from pipelines.config import Tenant
from pipelines.errors import UsageError
from pipelines.signals.catalogue import shipped_ids, signals
from pipelines.signals.definitions import load_all

SHIPPED = Path(__file__).parent / "catalogue"


@dataclass(frozen=True)
class CartRules:
    """Cart cohorts with their parameters; durations in microseconds.

    Attributes:
        abandoned: id of the cohort of absence; silence and ttl are its.
        valuable: id of the cohort with a value bound, when there is one.
        scarce: id of the cohort with a scarce product, when there is one.
    """

    abandoned: str
    silence: int
    ttl: int
    valuable: str | None = None
    floor: int = 0
    percentile: int = 0
    partitions: int = 0
    keep: int = 0
    scarce: str | None = None
    states: tuple[str, ...] = ()
    quiet: int = 0

    @property
    def ids(self) -> list[str]:
        """Ids of the cart cohorts that there are, sorted."""
        return sorted(key for key in (self.abandoned, self.valuable, self.scarce) if key)

    def place(self, cohort: str | None) -> int:
        """Place of a cart cohort in ``ids``; none has -1."""
        return self.ids.index(cohort) if cohort else -1


def cohorts(tenant: Tenant) -> dict[str, Cohort]:
    """Every cohort of a tenant by id, parameters resolved, checked together.

    Raises:
        UsageError: a file or an override is wrong; the message names file, path and fix.
    """
    own = [file.stem for file in (tenant.folder / "signals").glob("*.yaml")]
    found = load_all(tenant, Cohort, SHIPPED, "cohorts", [*shipped_ids(), *own])
    known_states = {level.state for signal in signals(tenant).values() for level in signal.levels}
    for cohort in found.values():
        if isinstance(cohort.rule, AllRule):
            _check_leaves(cohort, cohort.rule, found, known_states)
    cart_rules(found)
    return found


def _check_leaves(cohort: Cohort, rule: AllRule, found: dict[str, Cohort], known_states: set[str]) -> None:
    parent, leaf = rule.all
    target = found.get(parent.cohort)
    where = f"{cohort._file}: rule.all"
    if target is None or not isinstance(target.rule, WithoutRule):
        raise UsageError(f"{where}.0.cohort: {parent.cohort!r} is not a cohort of abandoned carts; name one")
    if isinstance(leaf, SignalLeaf):
        wrong = sorted(set(leaf.any_in) - known_states)
        if wrong:
            raise UsageError(
                f"{where}.1.any_in: {wrong[0]!r} is not a state; states: {', '.join(sorted(known_states))}"
            )


def cart_rules(found: dict[str, Cohort]) -> CartRules | None:
    """Settings of the cart cohorts; None when there is none.

    Raises:
        UsageError: two cohorts of the same kind.
    """
    base = _single(found, [c for c in found.values() if isinstance(c.rule, WithoutRule)])
    if base is None:
        return None
    assert isinstance(base.rule, WithoutRule) and base.ttl  # noqa: S101
    settings: dict[str, object] = {}
    leaves = [(c, c.rule.all[1]) for c in found.values() if isinstance(c.rule, AllRule)]
    valuable = _single(found, [c for c, leaf in leaves if isinstance(leaf, PropertyLeaf)])
    scarce = _single(found, [c for c, leaf in leaves if isinstance(leaf, SignalLeaf)])
    for cohort, leaf in leaves:
        if cohort is valuable and isinstance(leaf, PropertyLeaf):
            floor, share = leaf.at_least.greatest
            settings |= {"valuable": cohort.id, "floor": cohort.param(floor), "keep": cohort.param(leaf.leave_below)}
            settings |= {
                "percentile": cohort.param(share.percentile),
                "partitions": cohort.param(share.partitions),
            }
        if cohort is scarce and isinstance(leaf, SignalLeaf):
            settings |= {"scarce": cohort.id, "states": leaf.any_in, "quiet": cohort.param(leaf.leave_after)}
    return CartRules(base.id, base.param(base.rule.without.within), base.param(base.ttl), **settings)  # type: ignore[arg-type]


def _single(found: dict[str, Cohort], same: list[Cohort]) -> Cohort | None:
    if len(same) > 1:
        raise UsageError(
            f"{same[1]._file}: rule: cohorts {same[0].id!r} and {same[1].id!r} have the same rule; only one of a kind "
            "is computed for carts, so change its parameters instead"
        )
    return same[0] if same else None
