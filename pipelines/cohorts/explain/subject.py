"""The whole explanation of one subject in one cohort at the end of a day."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pipelines.calendar import Day
from pipelines.cohorts.explain.case import At, Case, Part, Query
from pipelines.cohorts.explain.evidence import Records, count, parts_of
from pipelines.cohorts.explain.published import last_exit, named, row_of
from pipelines.cohorts.explain.rows import Rows
from pipelines.cohorts.explain.tree import decide, missing
from pipelines.cohorts.language.phrases import field
from pipelines.cohorts.language.rules import Cohort, Without, leaves
from pipelines.cohorts.language.words import in_words
from pipelines.config import Tenant
from pipelines.errors import UsageError
from pipelines.signals.demand import micros


def explain(
    tenant: Tenant, definitions: Mapping[str, Cohort], cohort_id: str, subject: str, day: Day, query: Query
) -> dict[str, Any]:
    """Explain the membership of one subject at the end of a day.

    Args:
        tenant: whose.
        definitions: every cohort by id.
        cohort_id: of a family with the key, ``<id>:<key>``.
        subject: visitor or customer.
        day: a computed day.
        query: runs one SELECT over the tenant's tables; asked only for bounds that depend on all subjects.

    Returns:
        ``cohort_id``, ``subject``, ``as_of``, ``rule`` in words, ``definition_version``, ``is_member``, ``entered_at``,
        ``expires_at``, ``missing`` (for a non-member the first leaf that fails, with its distance), ``left`` (of who
        was in it once: ``at``, ``because``), ``note``, ``tree`` (see ``_shown``), ``evidence_count`` and ``evidence``.

    Raises:
        UsageError: there is no such cohort.
    """
    cohort, key = cohort_of(definitions, cohort_id)
    case = _case(tenant, definitions, cohort, subject, day, query)
    tree = decide(case, At(cohort, key, micros(day.end) - 1))
    row = row_of(tenant.lake, cohort, key, subject, day.date)
    member, note = _settled(cohort, tree, row)
    return {
        "cohort_id": named(cohort, key),
        "subject": subject,
        "as_of": day.end,
        "rule": in_words(cohort),
        "definition_version": cohort.definition_version,
        "is_member": member,
        **_since(row),
        **_why(case, cohort, key, tree, member),
        "note": note,
        **_parts(case, tree),
    }


def _since(row: Mapping[str, Any] | None) -> dict[str, Any]:
    inside = row if row is not None and row["is_member"] else {}
    return {"entered_at": inside.get("entered_at"), "expires_at": inside.get("expires_at")}


def _why(case: Case, cohort: Cohort, key: str | None, tree: Part, member: bool) -> dict[str, Any]:
    """What is missing of a non-member, and how one left who was in it once."""
    if member:
        return {"missing": None, "left": None}
    first = missing(tree)
    left = last_exit(case.tenant.lake, cohort, key, case.subject, case.day.date)
    return {"missing": first.says if first else None, "left": left}


def _parts(case: Case, tree: Part) -> dict[str, Any]:
    rows = [each for part in parts_of(tree) for each in part.rows]
    records = Records(case, tree)
    return {"tree": _shown(tree, records), "evidence_count": count(rows), "evidence": records.of(rows)}


def cohort_of(definitions: Mapping[str, Cohort], cohort_id: str) -> tuple[Cohort, str | None]:
    """A cohort and, of a family, the key.

    Raises:
        UsageError: there is no such cohort, or a key is missing or too many.
    """
    name, colon, key = cohort_id.partition(":")
    if name not in definitions:
        raise UsageError(f"cohort {name!r} is not there; cohorts: {', '.join(definitions)}")
    family = definitions[name].for_each
    if family and not key:
        raise UsageError(f"{name} is a family of cohorts, one for each {field(family)}; name one as {name}:<{family}>")
    if colon and not family:
        raise UsageError(f"{name} is one cohort and no family; name it without {colon}{key}")
    return definitions[name], key or None


def _case(
    tenant: Tenant, definitions: Mapping[str, Cohort], cohort: Cohort, subject: str, day: Day, query: Query
) -> Case:
    start = micros(day.start)

    @cache
    def before(name: str, key: str | None) -> int | None:
        row = row_of(tenant.lake, definitions[name], key, subject, day.date)
        entered = micros(row["entered_at"]) if row else start
        return entered if entered < start else None

    rows = Rows(tenant, cohort.subject, subject, day)
    return Case(tenant, definitions, subject, day, rows, query, lambda other, key: before(other.id, key))


def _settled(cohort: Cohort, tree: Part, row: Mapping[str, Any] | None) -> tuple[bool, str | None]:
    """Whether the subject is a member, and what is to be said where the rule alone does not decide it."""
    absent = any(isinstance(leaf, Without) for leaf in leaves(cohort.rule))
    holders = [name for name in ("dwell", "cooldown", "ttl") if getattr(cohort, name)]
    told = row is not None and bool(row["is_member"])
    if told == tree.holds:
        return told, None
    if cohort.evaluate == "day" and holders and not absent:
        held = "still in it though the rule does not hold" if told else "not in it though the rule holds"
        return told, f"{held}: {' and '.join(holders)} decide"
    said = "a" if told else "no"
    older = "the day was computed from older data or by another definition: run it again"
    return tree.holds, f"in cohort_membership the subject is {said} member; {older}"


def _shown(found: Part, records: Records) -> dict[str, Any]:
    """A part as JSON: what it is, whether it holds and has to, and its value, bound, distance, rows and parts."""
    shown: dict[str, Any] = {"kind": found.kind, "holds": found.holds, "wanted": found.wanted}
    if found.words:
        shown |= {"words": found.words, "says": found.says, "stands": found.stands or found.says}
    if found.comparison:
        shown |= {
            "value": found.value,
            "comparison": found.comparison,
            "bound": found.bound,
            "bound_of": "leaving" if found.of_leaving else "entry",
            "bound_source": found.source,
        }
    if found.words:
        shown["distance"] = found.gap
    if found.terms:
        shown["terms"] = [{"words": words, "value": value} for words, value in found.terms]
    if found.rows:
        shown |= {"evidence_count": count(found.rows), "evidence": records.of(found.rows)}
    if found.parts:
        shown["parts"] = [_shown(each, records) for each in found.parts]
    return shown
