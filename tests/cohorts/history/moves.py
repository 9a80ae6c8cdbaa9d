"""Random transitions of a few subjects, the tables they make, and a naive fold of them."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import polars as pl

from pipelines.calendar import day_of, days_between
from pipelines.config import Tenant
from pipelines.storage.hashing import identifier
from schemas.tables import COHORT_MEMBERSHIP, COHORT_TRANSITIONS

DAYS = days_between(date(2026, 10, 20), date(2026, 10, 29))
COHORTS = {"cart_abandoner": "aaa", "repeat_purchaser": "bbb"}
Move = tuple[str, str, datetime, str, str]


def random_moves(seed: int, subjects: int = 12, each: int = 6, start: date = DAYS[0]) -> list[Move]:
    """(cohort, subject, instant, direction, cause), alternating by subject; some at midnight, some twice a day."""
    chance = random.Random(seed)
    found: list[Move] = []
    for cohort in COHORTS:
        for n in range(subjects):
            hours = sorted(chance.sample(range(24 * len(DAYS)), chance.randrange(each + 1)))
            for place, hour in enumerate(hours):
                at = datetime(start.year, start.month, start.day, tzinfo=UTC) + timedelta(hours=hour)
                way = "exited" if place % 2 else "entered"
                found.append((cohort, f"s{n:02d}", at, way, "order" if place % 2 else "silence"))
    return found


def transition(tenant: Tenant, move: Move, version: str | None = None) -> dict[str, object]:
    cohort, subject, at, way, cause = move
    iso = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "cohort_id": cohort,
        "definition_version": version or COHORTS[cohort],
        "subject": subject,
        "effective_at": at,
        "direction": way,
        "transition_id": identifier(tenant.id, cohort, subject, way, iso),
        "subject_type": "visitor",
        "flockr_vid": subject,
        "caused_by": cause,
    }


def transitions(tenant: Tenant, moves: list[Move], version: str | None = None) -> pl.DataFrame:
    rows = [transition(tenant, move, version) for move in moves]
    schema = {name: dtype for name, dtype in COHORT_TRANSITIONS.schema.items() if name != "date"}
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema, orient="row")


def spans_of(moves: list[Move]) -> list[tuple[str, str, datetime, datetime | None, str, str | None]]:
    """Cohort, subject, from, to, causes, one by one."""
    inside: dict[tuple[str, str], Move] = {}
    found = []
    for move in sorted(moves, key=lambda each: each[2]):
        cohort, subject, at, way, cause = move
        if way == "entered":
            inside[cohort, subject] = move
        else:
            entry = inside.pop((cohort, subject))
            found.append((cohort, subject, entry[2], at, entry[4], cause))
    return sorted([*found, *((c, s, e[2], None, e[4], None) for (c, s), e in inside.items())], key=str)


def write(
    tenant: Tenant, moves: list[Move], days: list[date] = DAYS, versions: tuple[str | None, ...] = (None,)
) -> None:
    """Publish the three tables of a day as the cohorts step would, by a fold that looks at everything each day."""
    lake = tenant.lake
    with (
        lake.writer("cohort_membership") as members,
        lake.writer("cohort_transitions") as moved,
        lake.writer("cohort_sizes") as sizes,
    ):
        for day in days:
            bounds = day_of(day, tenant.zone)
            mine = [move for move in moves if bounds.start <= move[2] < bounds.end]
            rows = [row for version in versions for row in membership(moves, bounds, version)]
            schema = {name: dtype for name, dtype in COHORT_MEMBERSHIP.schema.items() if name != "date"}
            frame = pl.DataFrame([{n: row.get(n) for n in schema} for row in rows], schema=schema, orient="row")
            members.put(day, frame)
            moved.put(day, pl.concat([transitions(tenant, mine, version) for version in versions]))
            sizes.put(day, pl.concat([_sizes(frame, mine, version) for version in versions]))


def membership(moves: list[Move], day: object, version: str | None = None) -> list[dict[str, object]]:
    found = []
    for cohort, subject, since, until, _, _ in spans_of([move for move in moves if move[2] < day.end]):  # type: ignore[attr-defined]
        if until is None or until >= day.start:  # type: ignore[attr-defined]
            found.append(
                {
                    "cohort_id": cohort,
                    "definition_version": version or COHORTS[cohort],
                    "subject": subject,
                    "membership_key": f"{cohort}-{subject}",
                    "subject_type": "visitor",
                    "flockr_vid": subject,
                    "is_member": until is None,
                    "entered_at": since,
                    "updated_at": until or since,
                }
            )
    newest = {(row["cohort_id"], row["subject"]): row for row in sorted(found, key=lambda row: row["entered_at"])}  # type: ignore[arg-type, return-value]
    return list(newest.values())


def _sizes(frame: pl.DataFrame, mine: list[Move], version: str | None) -> pl.DataFrame:
    rows = []
    for cohort, own in COHORTS.items():
        key = version or own
        inside = frame.filter(pl.col("is_member"), cohort_id=cohort, definition_version=key).height
        ways = [sum(1 for move in mine if move[0] == cohort and move[3] == way) for way in ("entered", "exited")]
        rows.append((cohort, key, inside, *ways))
    schema = {"cohort_id": pl.String, "definition_version": pl.String} | dict.fromkeys(
        ("size", "entered", "exited"), pl.Int64
    )
    return pl.DataFrame(rows, schema=schema, orient="row")
