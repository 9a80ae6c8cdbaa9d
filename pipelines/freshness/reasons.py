"""Why a day is computed again, in words: the inputs it was made from against those it has now. Names, no values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from pipelines.freshness.fingerprints import DEFINITION, LANDED, STATE, WAITING, WHOLE, Freshness, Parts
from pipelines.step import Step
from schemas.registry import LAKE

FIRST, FORCED, CARRIED = "first run", "forced", "state before differs"


def reason(before: Mapping[str, str] | None, now: Parts) -> str:
    """What differs, most telling first and at most three of it; ``FORCED`` when nothing does."""
    if before is None:
        return FIRST
    differing = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    arrived = [name.removeprefix(WAITING) for name in differing if name.startswith(WAITING)]
    found = [_said(name, arrived) for name in differing if not name.startswith(WAITING)]
    told = [*(["definition changed"] if DEFINITION in differing else []), *(f"reference arrived: {x}" for x in arrived)]
    rows = sorted({each for each in found if each and each != CARRIED})
    carried = [CARRIED] if STATE in differing else []
    # A reference that rows of the day began to wait for came with those rows.
    late = [each for each in rows if each.startswith("late rows")]
    ordered = [*late, *(told if not late else told[:1] if DEFINITION in differing else []), *rows, *carried]
    return "; ".join(list(dict.fromkeys(ordered))[:3]) or FORCED


def reasons(freshness: Freshness, step: Step, days: Sequence[date]) -> dict[date, str]:
    """Why each of some stale days would be computed now."""
    now, before = freshness.fingerprints(step, days), freshness.recorded(step)
    keys = {day: day.isoformat() if step.partitioned else WHOLE for day in days}
    return {day: reason(before.get(key), now[key]) for day, key in keys.items()}


def _said(name: str, arrived: list[str]) -> str:
    if name in (DEFINITION, STATE):
        return CARRIED if name == STATE else ""
    table = name.removeprefix("table ")
    if name == LANDED:
        return "late rows"
    if table in LAKE and LAKE[table].partitioned:
        return f"late rows: {table}"
    entity = table.removesuffix("_history")
    return "" if entity in arrived else f"reference changed: {entity}"
