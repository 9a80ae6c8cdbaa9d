"""The page that shows every signal of visitors and customers: its formula, states, parameters and file."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.signals.visitor_measures import Cells, OfCohort, Vector
from pipelines.visitor_signals.resolve import Definitions, Resolved
from pipelines.visitor_signals.states import names

HEAD = """# Signals of visitors and customers

Every signal of the catalogue that is about a visitor or a customer. Numbers are defaults; a tenant changes them under
`parameters` in `tenant.yaml`. What they have in common is in [signals](signals.md#visitors-and-customers). This page is
made by `murmur signal page`.
"""
#: First key of a measure -> what it computes, with $names of parameters.
FORMULAS = {
    "intent": (
        "min($cap, sum of weight x 2 ^ (-age / $half_life)) over views ($view), adds ($add) and checkouts "
        "($checkout) before an instant of the hourly UTC grid. The age is cut to whole minutes, and each weight "
        "is a whole number of parts per million from a fixed table, so that sums are exact. A band moves at the "
        "grid instant; the value is that of the last one of the day."
    ),
    "journey": (
        "Decided at the last instant of each tenant day by what happened after the newest order within $window: "
        "deciding with something in an open cart or a Checkout Started, comparing with $products viewed products "
        "of one category, browsing with any view or add. Who did none of it has no row."
    ),
    "engagement": (
        "(x + 1) / (m + 1): x events on the tenant day, m the mean per day of the $baseline before it, or of the "
        "days for which the tenant has data, $history at least. Days without events count as zero."
    ),
    "value_of": (
        "What the cohort [`{cohort}`](cohorts.md#{cohort}) shows as `{context}`, with the cohort's parameters, "
        "for everybody who has such a value, member or not."
    ),
    "vector_of": (
        "What each cohort of the family [`{cohort}`](cohorts.md#{cohort}) shows as `{context}`: the $top greatest"
        " ones above zero, ties by name. `item` is the category."
    ),
    "cells_of": (
        "The numbers that [`{cohort}`](cohorts.md#{cohort}) compares with percentiles, each from 1 to 5: one more"
        " than there are of the 20th, 40th, 60th and 80th percentile of the day before that it exceeds. `545` is "
        "the best fifth by recency, the second best by frequency, the best by spend."
    ),
    "due": (
        "`instant` is the newest order plus the median time between the orders that count, of which there are two"
        " at least; `value` the days from it to the last instant of the tenant day, negative while it lies ahead."
        " Overdue begins $grace days after the due instant, at that very instant, and ends with the order that "
        "moves it."
    ),
    "strongest": (
        "Of the products in the visitor's open carts at the end of the day, the first signal in `ranking` that "
        "any has; ties by risk score, the greater first, then by product. `item` is the product. Levels, "
        "momentum, rank (up to $rank) and risk score are those of the end of the day; a surge counts for $surge, "
        "a cart until it was silent for $forget."
    ),
}


def page(definitions: Definitions) -> str:
    """The page in Markdown, signals in the order of their ids."""
    contents = "\n".join(f"- [`{key}`](#{key}) {each.signal.description}" for key, each in sorted(definitions.items()))
    sections = [_section(each) for _, each in sorted(definitions.items())]
    return "\n".join([HEAD, contents, "", "\n".join(sections)])


def formula(found: Resolved) -> str:
    """What the signal computes, in words with the present parameters."""
    measure = found.signal.measure
    text = FORMULAS[next(iter(measure.model_dump()))]
    if isinstance(measure, OfCohort | Vector):
        named = measure.value_of if isinstance(measure, OfCohort) else measure.vector_of
        text = text.format(cohort=named, context=measure.context)
    if isinstance(measure, Cells):
        text = text.format(cohort=measure.cells_of)
    for name, param in sorted(found.signal.params.items(), key=lambda pair: -len(pair[0])):
        text = text.replace(f"${name}", str(param.value))
    return text


def states(found: Resolved) -> str:
    """The states with their bounds, the highest first."""
    signal = found.signal
    bounds: Mapping[str, str] = {
        each.state: f" (from {_value(found, each.at_least)}"
        + (f", until below {_value(found, each.until_below)})" if each.until_below else ")")
        for each in signal.states
        if each.at_least
    }
    if isinstance(signal.measure, Cells):
        return "`111` to `555`"
    listed = [name for _, name in sorted(names(found).items(), reverse=True)]
    return ", ".join(f"`{name}`{bounds.get(name, '')}" for name in listed)


def _value(found: Resolved, reference: str) -> object:
    return found.signal.params[reference.removeprefix("$")].value


def _section(found: Resolved) -> str:
    signal = found.signal
    lines = [f"## {found.id}", "", f"{signal.description} A signal of {signal.subject}s; family `{signal.family}`.", ""]
    lines.append(f"- **Value:** {formula(found)}")
    if said := states(found):
        lines.append(f"- **States:** {said}.")
    if signal._file:
        lines += ["", "```yaml", signal._file.read_text(encoding="utf-8").rstrip(), "```", ""]
    return "\n".join(lines)
