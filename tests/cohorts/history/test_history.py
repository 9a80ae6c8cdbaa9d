"""Spans equal a naive fold, whether days are computed one by one, at once, again or after a correction."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from pipelines.calendar import day_of
from pipelines.cohorts.history.checks import CHECKS, sliced
from pipelines.cohorts.history.run import TABLE, advance, run
from pipelines.cohorts.steps import CHECKS as ALL_CHECKS
from pipelines.config import Tenant
from schemas.tables import OPEN_SPANS
from tests.cohorts.history.moves import DAYS, random_moves, spans_of, write
from tests.conftest import make_workspace

SHOWN = ["cohort_id", "subject", "valid_from", "valid_to", "entered_by", "exited_by"]


def history(tenant: Tenant) -> list[tuple[object, ...]]:
    return sorted(tenant.lake.read(TABLE).select(SHOWN).rows(), key=str)


@pytest.mark.parametrize("seed", range(4))
def test_spans_are_those_of_a_naive_fold(tenant: Tenant, seed: int) -> None:
    moves = random_moves(seed)
    write(tenant, moves)
    run(tenant, DAYS)
    assert history(tenant) == spans_of(moves)
    rows = tenant.lake.read(TABLE)
    ended = rows.filter(pl.col("valid_to").is_not_null())
    assert (ended["valid_to"].dt.convert_time_zone("Europe/London").dt.date() == ended["date"]).all()
    assert rows.filter(pl.col("valid_to").is_null())["date"].unique().to_list() == [OPEN_SPANS]
    for check in (*CHECKS, *ALL_CHECKS):
        result = check.run(tenant, DAYS)
        assert result.passed and result.evidence["compared"], result
    for day in DAYS:
        bounds = day_of(day, tenant.zone)
        members = tenant.lake.read("cohort_membership", [day]).filter("is_member")
        assert sorted(sliced(tenant.lake, bounds).rows()) == sorted(
            members.select("cohort_id", "subject", "entered_at").rows()
        )


def test_daily_at_once_and_again_are_equal(tenant: Tenant, tmp_path) -> None:
    moves = random_moves(11)
    write(tenant, moves)
    run(tenant, DAYS)
    whole = tenant.lake.files(TABLE)
    assert not run(tenant, DAYS[3:5])[TABLE].changed
    daily = make_workspace(tmp_path / "daily").tenant("acme")
    write(daily, moves)
    for day in DAYS:
        run(daily, [day])
    assert daily.lake.files(TABLE) == whole
    states = list((daily.state / "cohort_history").glob("*.arrow"))
    assert len(states) <= 3


@pytest.mark.parametrize("seed", range(4))
def test_late_data_is_computed_forward_until_nothing_differs(tenant: Tenant, tmp_path, seed: int) -> None:
    before, after = random_moves(seed), random_moves(seed + 100)
    write(tenant, before)
    run(tenant, DAYS)
    middle = DAYS[4]
    cut = day_of(middle, tenant.zone)
    # What happened on one day becomes known late: subjects who then alternate no longer get no part in it.
    busy = {move[:2] for move in before if move[2] >= cut.start}
    late = [move for move in after if cut.start <= move[2] < cut.end and move[:2] not in busy]
    known = before + [move for move in late if _alternates(before, move)]
    write(tenant, known)
    commit = advance(tenant, [middle], DAYS[5:])[TABLE]
    assert set(commit.rows) <= {middle, *DAYS[5:], OPEN_SPANS}
    assert history(tenant) == spans_of(known)
    fresh = make_workspace(tmp_path / "fresh").tenant("acme")
    write(fresh, known)
    run(fresh, DAYS)
    assert fresh.lake.files(TABLE) == tenant.lake.files(TABLE)


def _alternates(moves, move) -> bool:
    earlier = [each for each in moves if each[:2] == move[:2]]
    return (len(earlier) % 2 == 1) == (move[3] == "exited")


def test_a_correction_that_is_undone_at_once_leaves_later_days_alone(tenant: Tenant) -> None:
    moves = random_moves(5)
    write(tenant, moves)
    run(tenant, DAYS)
    noon = day_of(DAYS[2], tenant.zone).start + timedelta(hours=12, microseconds=1)
    extra = [("cart_abandoner", "new", noon, "entered", "silence")]
    extra += [("cart_abandoner", "new", noon + timedelta(hours=1), "exited", "order")]
    write(tenant, moves + extra)
    commit = advance(tenant, [DAYS[2]], DAYS[3:])[TABLE]
    assert set(commit.rows) == {DAYS[2]}
    assert history(tenant) == spans_of(moves + extra)


def test_a_tenant_that_begins_in_the_middle_takes_members_from_its_first_day(tenant: Tenant) -> None:
    moves = random_moves(7)
    write(tenant, moves, DAYS[5:])
    run(tenant, DAYS[5:])
    start = day_of(DAYS[5], tenant.zone).start
    expected = [span for span in spans_of(moves) if span[3] is None or span[3] >= start]
    # Who left and came back on that first day is known by the second span alone.
    found = {row[:4] for row in history(tenant)}
    assert found <= {span[:4] for span in expected}
    lost = {span[:4] for span in expected} - found
    assert all(day_of(DAYS[5], tenant.zone).end > span[3] for span in lost)
    assert len(lost) <= 2
    for check in CHECKS:
        assert check.run(tenant, DAYS[6:]).passed
