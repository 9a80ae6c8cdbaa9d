"""The page that shows every cohort: its rule in words, its windows, its file and a transition that it makes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from pipelines.cohorts.instants.sequences import cause
from pipelines.cohorts.language.bounds import Greatest
from pipelines.cohorts.language.phrases import a, joined, stream
from pipelines.cohorts.language.pictures import picture
from pipelines.cohorts.language.rules import Cohort, Compare, Left, Member, Open, Then, Without, leaves
from pipelines.cohorts.language.values import Count, Since
from pipelines.cohorts.language.words import words

HEAD = """# Cohorts

Every cohort of the catalogue. Numbers are defaults; a tenant changes them under `parameters` in `tenant.yaml`. How
definitions are written is in [writing a cohort](writing-a-cohort.md). This page is made by `murmur cohort gallery`.
"""
#: When the last thing of each example happens.
HAPPENED = datetime(2026, 3, 2, 10, tzinfo=UTC)
_KEYS = {"category": "shoes", "group_id": "north", "channel": "email"}
_Example = tuple[str, datetime, str]


def page(cohorts: Mapping[str, Cohort]) -> str:
    """The page in Markdown, cohorts in the order of their ids."""
    contents = "\n".join(f"- [`{key}`](#{key}) {each.description}" for key, each in sorted(cohorts.items()))
    sections = [section(each, cohorts) for _, each in sorted(cohorts.items())]
    return "\n".join([HEAD, contents, "", "\n".join(sections)])


def section(cohort: Cohort, cohorts: Mapping[str, Cohort]) -> str:
    """One cohort in Markdown."""
    said = words(cohort)
    family = f" A family: one cohort `{cohort.id}:<{cohort.for_each}>` for each value." if cohort.for_each else ""
    guard = " A guard: nobody in it is addressed." if cohort.guard else ""
    lines = [
        f"## {cohort.id}",
        "",
        f"{cohort.description} A cohort of {cohort.subject}s, decided {said.decided}.{family}{guard}",
        "",
        f"- **Enters:** {said.enters}.",
        f"- **Leaves:** {said.leaves}.",
        *[f"- **Holds:** {each}." for each in said.held],
        "",
        *_block("text", picture(cohort)),
    ]
    if cohort._file:
        lines += _block("yaml", cohort._file.read_text(encoding="utf-8").rstrip())
    happened, at, told = example(cohort, cohorts)
    return "\n".join([*lines, f"{happened}:", "", *_block("json", _transition(cohort, at, told))])


def example(cohort: Cohort, cohorts: Mapping[str, Cohort]) -> tuple[str, datetime, str]:
    """A case in which somebody enters: what happened, the instant of the entry, and its cause."""
    if cohort.evaluate == "day":
        last = HAPPENED.replace(hour=0) + timedelta(days=1, microseconds=-1)
        return f"The rule holds at the end of {HAPPENED:%Y-%m-%d} and did not the day before", last, "bound"
    found = [each for leaf in leaves(cohort.rule) if (each := _of_leaf(cohort, leaf, cohorts))]
    # What waits decides the instant where a rule has several parts.
    return max(found, key=lambda each: each[1])


def _of_leaf(cohort: Cohort, leaf: object, cohorts: Mapping[str, Cohort]) -> _Example | None:
    if isinstance(leaf, Member) and leaf.cohort in cohorts and cohorts[leaf.cohort].of_cart:
        return example(cohorts[leaf.cohort], cohorts)
    if isinstance(leaf, Without):
        missing = joined([stream(cohort, name).one for name in leaf.without], "or")
        said = f"The last {stream(cohort, leaf.after).one} was at {_text(HAPPENED)}, without {a(missing)} since"
        return said, _later(cohort, leaf.within), "silence"
    if isinstance(leaf, Compare):
        return _of_number(cohort, leaf)
    if isinstance(leaf, Then):
        return _now(cohort, leaf.then.event[0])
    if isinstance(leaf, Left):
        return _now(cohort, leaf.because_of)
    return _now(cohort, leaf.open) if isinstance(leaf, Open) else None


def _of_number(cohort: Cohort, leaf: Compare) -> _Example | None:
    bound = leaf.bound.greatest[0] if isinstance(leaf.bound, Greatest) else leaf.bound
    if isinstance(leaf.value, Since) and leaf.value.since and isinstance(bound, str):
        passed = 1 if leaf.comparison == "more_than" else 0
        said = f"The last {stream(cohort, leaf.value.since).one} was at {_text(HAPPENED)}"
        return said, _later(cohort, bound) + timedelta(microseconds=passed), "silence"
    if isinstance(leaf.value, Since):
        return _now(cohort, leaf.value.since_first or leaf.value.since or "")
    return _now(cohort, leaf.value.count) if isinstance(leaf.value, Count) else None


def _now(cohort: Cohort, name: str) -> _Example:
    one = stream(cohort, name).one
    told = "referral" if name.startswith("referral") else cause(name)
    return f"The last thing that was missing, {a(one)}, happens", HAPPENED, told


def _later(cohort: Cohort, reference: str) -> datetime:
    return HAPPENED + timedelta(microseconds=cohort.param(reference))


def _text(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def _transition(cohort: Cohort, at: datetime, told: str) -> str:
    key = f":{_KEYS.get(cohort.for_each, 'value')}" if cohort.for_each else ""
    row = {
        "cohort_id": cohort.id + key,
        "subject_type": cohort.subject,
        "subject": f"{cohort.subject[0]}-1",
        "direction": "entered",
        "effective_at": _text(at),
        "caused_by": told,
    }
    return json.dumps(row, ensure_ascii=False)


def _block(language: str, text: str) -> list[str]:
    return [f"```{language}", text, "```", ""]
