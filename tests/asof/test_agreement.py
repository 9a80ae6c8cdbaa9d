"""Each table is broken on purpose, and the check of that table, and the full one, say so."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import polars as pl
import pytest
from click.testing import CliRunner

from pipelines.asof.agreement import COMPARED, agreements
from pipelines.cli.main import cli
from pipelines.cohorts.history.run import TABLE, run
from pipelines.cohorts.steps import CHECKS as COHORT_CHECKS
from pipelines.config import Tenant, Workspace
from pipelines.delivery.steps import CHECKS as DELIVERY_CHECKS
from pipelines.delivery.steps import run_event_log
from pipelines.errors import MurmurError
from schemas.tables import OPEN_SPANS
from tests.cohorts.history.moves import DAYS, random_moves, write

CHECKS = {check.name: check for check in (*COHORT_CHECKS, *DELIVERY_CHECKS)}
LAST = DAYS[-1]
Break = Callable[[pl.DataFrame], pl.DataFrame]


def noon() -> datetime:
    return datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def full(tenant: Tenant) -> Tenant:
    write(tenant, random_moves(21, subjects=20))
    run(tenant, DAYS)
    run_event_log(tenant, DAYS, clock=noon)
    return tenant


def wrong(tenant: Tenant) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in agreements(tenant):
        for name, count in each.differences.items():
            found[name] = found.get(name, 0) + count
    return found


def break_table(tenant: Tenant, table: str, day: object, change: Break) -> None:
    rows = tenant.lake.read(table, [day])  # type: ignore[list-item]
    assert rows.height, "there must be something to break"
    with tenant.lake.writer(table) as writer:
        writer.put(day, change(rows))  # type: ignore[arg-type]


def failing(tenant: Tenant) -> set[str]:
    return {name for name, check in CHECKS.items() if not check.run(tenant, DAYS).passed}


def test_nothing_is_wrong_to_begin_with(full: Tenant) -> None:
    assert failing(full) == set()
    found = list(agreements(full))
    assert [each.day for each in found] == [*DAYS, None]
    assert not any(each.differences for each in found)
    moves = full.lake.read("cohort_transitions").height
    assert sum(each.sent + each.withheld for each in found) == moves > 20
    assert sum(each.sent for each in found) == full.lake.rows("cohort_transitions")[LAST]


def drop_first(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.slice(1)


def drop_member(rows: pl.DataFrame) -> pl.DataFrame:
    member = rows.filter("is_member").head(1)
    return rows.join(member, on=["cohort_id", "subject"], how="anti")


def grow(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("size") + 1)


def later(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("valid_from") + pl.duration(microseconds=1))


DAILY = {"membership_folds", "spans_are_members", "sizes_are_counts"}


@pytest.mark.parametrize(
    ("table", "day", "change", "checks", "names"),
    [
        ("cohort_membership", LAST, drop_member, DAILY, {"members", "told", "sizes"}),
        ("cohort_transitions", LAST, drop_first, {*DAILY, "folds_to_facts"}, {"members", "events", "sizes"}),
        ("cohort_sizes", LAST, grow, {"transitions_add_up", "sizes_are_counts"}, {"sizes"}),
        (TABLE, DAYS[4], drop_first, {"spans_are_members"}, {"spans"}),
        (TABLE, OPEN_SPANS, drop_first, {"spans_are_members"}, {"open"}),
        (TABLE, OPEN_SPANS, later, {"spans_are_members"}, {"open"}),
        ("event_log", DAYS[4], drop_first, {"folds_to_facts"}, {"events", "told"}),
    ],
    ids=["members", "transitions", "sizes", "ended spans", "open spans", "when they began", "event log"],
)
def test_what_is_broken_is_found(
    full: Tenant, table: str, day: object, change: Break, checks: set[str], names: set[str]
) -> None:
    break_table(full, table, day, change)
    assert failing(full) >= checks
    found = wrong(full)
    assert set(found) >= names
    assert set(found) <= set(COMPARED)


def test_an_event_that_was_told_twice_or_never_taken_back_is_found(full: Tenant) -> None:
    log = full.lake.read("event_log", [LAST])
    invented = log.head(1).with_columns(
        pl.lit("t-invented").alias("transition_id"),
        pl.lit("e-invented").alias("event_id"),
        pl.lit("cohort.entered").alias("kind"),
        pl.lit("nobody").alias("subject"),
    )
    break_table(full, "event_log", LAST, lambda rows: pl.concat([rows, invented]))
    assert "folds_to_facts" in failing(full)
    assert wrong(full) == {"events": 1, "told": 1}


def test_verify_exits_with_what_differs_first(full: Tenant, workspace: Workspace) -> None:
    places = ["--home", str(workspace.home), "--tenants", str(workspace.tenants)]
    words = [*places, "cohort", "verify", "--tenant", "acme", "--json"]
    assert json.loads(CliRunner().invoke(cli, words).stdout)["agree"]
    break_table(full, "cohort_sizes", DAYS[3], grow)
    done = CliRunner().invoke(cli, words)
    assert isinstance(done.exception, MurmurError)
    assert str(done.exception).startswith(f"1 day does not agree; first {DAYS[3]}: sizes")
    report = json.loads(done.stdout)
    assert [day["date"] for day in report["days"] if day["differences"]] == [DAYS[3].isoformat()]
    assert not report["agree"]
    narrow = json.loads(CliRunner().invoke(cli, [*words, "--from", str(DAYS[4]), "--to", str(DAYS[6])]).stdout)
    assert [day["date"] for day in narrow["days"]] == [str(day) for day in DAYS[4:7]]
    assert narrow["agree"]
