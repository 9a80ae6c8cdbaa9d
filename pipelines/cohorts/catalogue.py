"""A tenant's cohorts, and the settings that the cart rules resolve to. How they are evaluated is elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.cohorts.language.carts import CartSignal, CartValue
from pipelines.cohorts.language.check import check_or_raise, signal_states
from pipelines.cohorts.language.order import pin
from pipelines.cohorts.language.rules import All, Cohort, Member, Without
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
    known = signals(tenant)
    check_or_raise(found, signal_states(known))
    pin(found, {key: signal.definition_version for key, signal in known.items()})
    return found


def _cart_parts(cohort: Cohort) -> tuple[Member, CartValue | CartSignal]:
    """The two parts of a cohort that narrows abandoned carts.

    Raises:
        UsageError: it has other parts.
    """
    parts = cohort.rule.all if isinstance(cohort.rule, All) else ()
    if len(parts) == 2 and isinstance(parts[0], Member) and isinstance(parts[1], CartValue | CartSignal):
        return parts[0], parts[1]
    raise UsageError(
        f"{cohort._file}: rule: a rule about carts is all of two parts, a cohort of abandoned carts and one "
        "property or signal of the cart"
    )


def cart_rules(found: dict[str, Cohort]) -> CartRules | None:
    """Settings of the cart cohorts; None when there is none.

    Raises:
        UsageError: two cohorts of the same kind.
    """
    base = _single(found, [c for c in found.values() if c.of_cart and isinstance(c.rule, Without)])
    if base is None:
        return None
    assert isinstance(base.rule, Without)  # noqa: S101
    if not base.ttl:
        raise UsageError(f"{base._file}: ttl: a rule of absence about carts needs one; add ttl: $ttl and the parameter")
    settings: dict[str, object] = {}
    leaves = [(c, _cart_parts(c)[1]) for c in found.values() if c.of_cart and not isinstance(c.rule, Without)]
    valuable = _single(found, [c for c, leaf in leaves if isinstance(leaf, CartValue)])
    scarce = _single(found, [c for c, leaf in leaves if isinstance(leaf, CartSignal)])
    for cohort, leaf in leaves:
        if cohort is valuable and isinstance(leaf, CartValue):
            floor, share = leaf.at_least.greatest
            settings |= {"valuable": cohort.id, "floor": cohort.param(floor), "keep": cohort.param(leaf.leave_below)}
            settings |= {
                "percentile": cohort.param(share.percentile),
                "partitions": cohort.param(share.partitions),
            }
        if cohort is scarce and isinstance(leaf, CartSignal):
            settings |= {"scarce": cohort.id, "states": leaf.any_in, "quiet": cohort.param(leaf.leave_after)}
    return CartRules(base.id, base.param(base.rule.within), base.param(base.ttl), **settings)  # type: ignore[arg-type]


def _single(found: dict[str, Cohort], same: list[Cohort]) -> Cohort | None:
    if len(same) > 1:
        raise UsageError(
            f"{same[1]._file}: rule: cohorts {same[0].id!r} and {same[1].id!r} have the same rule; only one of a kind "
            "is computed for carts, so change its parameters instead"
        )
    return same[0] if same else None
