"""Visitor signals with the cohorts whose values they show, and the version that covers both.

What a cohort already says in numbers is not said again: such a signal names the cohort, and its values and parameters
are the cohort's own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.cohorts.catalogue import cohorts
from pipelines.cohorts.language.bounds import Percentile
from pipelines.cohorts.language.rules import Cohort, Compare, leaves
from pipelines.cohorts.language.values import Value
from pipelines.config import Tenant
from pipelines.errors import UsageError
from pipelines.signals.catalogue import Signal, every_signal, references
from pipelines.signals.visitor_measures import Cells, Due, Intent, Journey, OfCohort, Vector


@dataclass(frozen=True)
class Resolved:
    """A signal of a visitor or a customer.

    Attributes:
        signal: its definition.
        version: of the definition, and of the values that it takes from a cohort.
        cohort: whose values are shown, if it shows a cohort's.
        values: those values.
    """

    signal: Signal
    version: str
    cohort: Cohort | None = None
    values: tuple[Value, ...] = ()

    @property
    def id(self) -> str:
        """Of the signal."""
        return self.signal.id


Definitions = Mapping[str, Resolved]


def visitor_signals(tenant: Tenant) -> dict[str, Resolved]:
    """Every signal of visitors and customers by id.

    Raises:
        UsageError: a file or an override is wrong, or a signal names a cohort that cannot give its value.
    """
    wanted = {key: signal for key, signal in every_signal(tenant).items() if signal.subject != "product"}
    known = (
        cohorts(tenant) if any(isinstance(each.measure, OfCohort | Vector | Cells) for each in wanted.values()) else {}
    )
    return {key: _resolved(signal, known) for key, signal in wanted.items()}


def _resolved(signal: Signal, known: Mapping[str, Cohort]) -> Resolved:
    measure = signal.measure
    if signal.silence() != (0, 0) and not isinstance(measure, Intent | Journey | Due):
        raise _wrong(signal, "cooldown and dwell are of states of intent, journey and due only", [])
    if isinstance(measure, Cells):
        cohort = _cohort(signal, measure.cells_of, known)
        return _with(signal, cohort, _compared(signal, cohort))
    if isinstance(measure, OfCohort | Vector):
        named = measure.value_of if isinstance(measure, OfCohort) else measure.vector_of
        cohort = _cohort(signal, named, known)
        if measure.context not in cohort.context:
            raise _wrong(signal, f"cohort {named!r} shows no {measure.context!r}", sorted(cohort.context))
        if bool(cohort.for_each) != isinstance(measure, Vector):
            raise _wrong(signal, f"cohort {named!r} {'is' if cohort.for_each else 'is not'} a family", [])
        return _with(signal, cohort, (cohort.context[measure.context],))
    return Resolved(signal, signal.definition_version)


def _cohort(signal: Signal, name: str, known: Mapping[str, Cohort]) -> Cohort:
    cohort = known.get(name)
    if cohort is None or cohort.evaluate != "day" or cohort.subject != signal.subject:
        fitting = [key for key, each in known.items() if each.evaluate == "day" and each.subject == signal.subject]
        raise _wrong(signal, f"there is no {signal.subject} cohort {name!r} that is evaluated by day", sorted(fitting))
    return cohort


def _percentiles(cohort: Cohort) -> list[tuple[Value, Percentile]]:
    compared = [leaf for leaf in leaves(cohort.rule) if isinstance(leaf, Compare)]
    return [(leaf.value, leaf.bound) for leaf in compared if isinstance(leaf.bound, Percentile)]


def _compared(signal: Signal, cohort: Cohort) -> tuple[Value, ...]:
    """Recency, frequency and spend: what the cohort compares with percentiles, in the order of its rule."""
    found = _percentiles(cohort)
    if len(found) != 3 or len({(bound.population, bound.history) for _, bound in found}) != 1:
        what = f"cohort {cohort.id!r} does not compare three numbers with percentiles of one population"
        raise _wrong(signal, what, [])
    return tuple(value for value, _ in found)


def population(cohort: Cohort) -> tuple[int, int]:
    """Fewest subjects and microseconds of history that the cohort's percentiles need."""
    _, first = _percentiles(cohort)[0]
    fewest = cohort.param(first.population) if first.population else 1
    return fewest, cohort.param(first.history) if first.history else 0


def _with(signal: Signal, cohort: Cohort, values: tuple[Value, ...]) -> Resolved:
    said = [value.model_dump(mode="json", exclude_defaults=True) for value in values]
    params = {name: [cohort.param(name), cohort.params[name].unit] for name in sorted(references(said))}
    needs = population(cohort) if isinstance(signal.measure, Cells) else ()
    text = json.dumps([signal.definition_version, said, params, cohort.for_each, needs], sort_keys=True)
    return Resolved(signal, hashlib.sha256(text.encode()).hexdigest()[:12], cohort, values)


def _wrong(signal: Signal, what: str, instead: list[str]) -> UsageError:
    return UsageError(f"{signal._file}: measure: {what}" + (f"; there are: {', '.join(instead)}" if instead else ""))
