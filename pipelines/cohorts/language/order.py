"""Cohorts in an order in which each can be computed, and their versions with those of what they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipelines.cohorts.language.rules import Cohort, named_cohorts, named_signals


def in_order(cohorts: Sequence[Cohort]) -> list[Cohort]:
    """Cohorts so that those that a rule names come before it; else by id. Circles are refused by ``check``."""
    known = {cohort.id: cohort for cohort in cohorts}
    found: dict[str, Cohort] = {}

    def take(cohort: Cohort) -> None:
        if cohort.id in found:
            return
        for name in sorted(named_cohorts(cohort.rule) & set(known)):
            take(known[name])
        found[cohort.id] = cohort

    for cohort in sorted(cohorts, key=lambda cohort: cohort.id):
        take(cohort)
    return list(found.values())


def pin(cohorts: Mapping[str, Cohort], signals: Mapping[str, str]) -> None:
    """Make the versions of what a cohort names a part of its own, so that a change of one is a change of both.

    Args:
        cohorts: by id; changed in place.
        signals: signal id -> its version.
    """
    for cohort in in_order(list(cohorts.values())):
        needed = {name: cohorts[name].definition_version for name in named_cohorts(cohort.rule) if name in cohorts}
        needed |= {name: signals[name] for name in named_signals(cohort) if name in signals}
        cohort._needs = dict(sorted(needed.items()))
