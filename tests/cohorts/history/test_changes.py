"""A changed definition: old rows stay, new ones stand beside them; the switch is withheld unless announced."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from pipelines.asof.agreement import agreements
from pipelines.calendar import day_of
from pipelines.cli.main import cli
from pipelines.cohorts.catalogue import SHIPPED, cohorts
from pipelines.cohorts.checks import CHECKS as COHORT_CHECKS
from pipelines.cohorts.history import official
from pipelines.cohorts.history.checks import CHECKS as HISTORY_CHECKS
from pipelines.cohorts.history.definitions import Activation, Timeline, proposed, register_of, timeline
from pipelines.cohorts.history.publish import run as run_cohorts
from pipelines.cohorts.history.run import TABLE
from pipelines.cohorts.history.run import run as run_history
from pipelines.cohorts.history.versions import seen
from pipelines.config import Tenant, Workspace
from pipelines.delivery.steps import folds_to_facts, run_event_log
from pipelines.errors import UsageError
from pipelines.exports.revision import newest_revisions
from pipelines.exports.steps import parquet_exports
from pipelines.exports.target import export_store
from pipelines.freshness.defined import Defined
from pipelines.signals.run import run as run_signals
from pipelines.storage.hashing import file_sha256
from schemas.tables import OPEN_SPANS
from tests.cohorts.retailer import DAYS, write_history
from tests.conftest import make_workspace

BEFORE, SWITCH = DAYS[:-1], DAYS[-1]
CART = "cart_abandoner"
PARAMETERS = "parameters:\n  cart_abandoner: {{ttl: {ttl}}}\n  lapsed_shopper: {{floor: 2d, multiple: 1}}\n"


def configure(workspace: Workspace, ttl: str, more: str = "") -> Tenant:
    file = workspace.tenants / "acme" / "tenant.yaml"
    base = file.read_text().split("parameters:")[0]
    file.write_text(base + PARAMETERS.format(ttl=ttl) + more)
    return workspace.tenant("acme")


def compute(tenant: Tenant, days: list[date], detected: datetime) -> None:
    run_cohorts(tenant, days, clock=lambda: detected)
    run_history(tenant, days)
    run_event_log(tenant, days, clock=lambda: detected)


def noon(day: int) -> datetime:
    return datetime(2026, 11, day, 12, tzinfo=UTC)


def version_of(tenant: Tenant) -> str:
    return cohorts(tenant)[CART].definition_version


def rows(tenant: Tenant, table: str, version: str, days: list[date]) -> pl.DataFrame:
    return tenant.lake.read(table, days).filter(definition_version=version)


TABLES = ("cohort_membership", "cohort_transitions", "cohort_sizes")


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """All but the last day, by the first definition."""
    workspace = make_workspace(tmp_path_factory.mktemp("changes"))
    tenant = configure(workspace, "12h")
    write_history(tenant, 5)
    run_signals(tenant, DAYS)
    compute(tenant, BEFORE, noon(1))
    return workspace


@pytest.fixture
def workspace(computed: Workspace, tmp_path: Path) -> Workspace:
    root = tmp_path / "copy"
    shutil.copytree(computed.home.parent, root)
    return Workspace(root / "home", root / "tenants")


def everything_agrees(tenant: Tenant) -> None:
    assert not [each for each in agreements(tenant) if each.differences]
    for check in (*COHORT_CHECKS, *HISTORY_CHECKS):
        assert check.run(tenant, DAYS).passed, check.name
    assert folds_to_facts(tenant, DAYS).passed


def test_old_rows_stay_and_new_ones_are_beside_them(workspace: Workspace) -> None:
    old = version_of(workspace.tenant("acme"))
    kept = {table: rows(workspace.tenant("acme"), table, old, BEFORE) for table in TABLES}
    told = {day: official.membership(workspace.tenant("acme"), day) for day in BEFORE}
    tenant = configure(workspace, "20h")
    new = version_of(tenant)
    assert new != old
    assert set(Defined(tenant)._timeline.needed(BEFORE[0])[CART]) == {old, new}  # type: ignore[union-attr]
    compute(tenant, DAYS, noon(2))
    for table in TABLES:
        assert rows(tenant, table, old, DAYS).equals(kept[table])
        assert rows(tenant, table, new, DAYS)["date"].n_unique() == len(DAYS)
    assert all(official.membership(tenant, day).equals(told[day]) for day in BEFORE)
    assert set(official.membership(tenant, SWITCH).filter(cohort_id=CART)["definition_version"]) <= {new, old}
    assert rows(tenant, "cohort_membership", old, [SWITCH]).is_empty()
    everything_agrees(tenant)


def test_the_switch_is_told_as_caused_by_the_definition_and_withheld(workspace: Workspace) -> None:
    tenant = configure(workspace, "20h")
    compute(tenant, DAYS, noon(2))
    caused = official.transitions(tenant, SWITCH).filter(caused_by="definition")
    assert caused.height, "a longer ttl keeps some who had left"
    assert caused["effective_at"].unique().to_list() == [day_of(SWITCH, tenant.zone).start]
    # What is made of the changed cohort changes with it.
    assert {CART} <= set(caused["cohort_id"]) <= {CART, "cart_abandoned_low_stock", "high_value_cart_abandoner"}
    sizes = official.sizes(tenant, SWITCH).filter(cohort_id=CART).row(0, named=True)
    before = official.sizes(tenant, BEFORE[-1]).filter(cohort_id=CART).row(0, named=True)
    assert sizes["size"] == before["size"] + sizes["entered"] - sizes["exited"]
    log = tenant.lake.read("event_log", [SWITCH])
    told = log.filter(pl.col("transition_id").is_in(caused["transition_id"].implode()))
    assert told.height == caused.height
    assert told.select("emission", "withheld_because").unique().rows() == [("withheld", "definition")]
    assert "sent" in set(log.filter(~pl.col("transition_id").is_in(caused["transition_id"].implode()))["emission"])
    # Nothing was said about days before the switch that had not been said before.
    assert set(tenant.lake.read("event_log", BEFORE)["detected_at"]) == {noon(1)}


def exported(tenant: Tenant) -> dict[str, str]:
    root = tenant.home / "buckets"
    return {str(path.relative_to(root)): file_sha256(path) for path in root.rglob("*") if path.is_file()}


def test_files_of_the_days_before_keep_their_bytes_and_get_no_revision(workspace: Workspace) -> None:
    tenant = workspace.tenant("acme")
    parquet_exports(tenant, BEFORE, lambda: noon(1))
    kept = {path: digest for path, digest in exported(tenant).items() if "date=9999-12-31" not in path}
    tenant = configure(workspace, "20h")
    compute(tenant, DAYS, noon(2))
    commits = parquet_exports(tenant, DAYS, lambda: noon(2))
    now = exported(tenant)
    assert {path: now[path] for path in kept} == kept
    changed = {output: set(commit.changed) for output, commit in commits.items() if "cohort" in output}
    assert all(days <= {SWITCH, OPEN_SPANS} for days in changed.values())
    versions = set(official.membership(tenant, SWITCH)["definition_version"])
    store = export_store(tenant, "s3")
    assert store is not None
    [manifest] = [
        each for each in newest_revisions(store) if (each.dataset, each.date) == ("cohort_membership", str(SWITCH))
    ]
    named = {each["version"] for each in manifest.inputs if str(each["asset"]).startswith("definition:")}
    assert named == versions


def test_an_announced_switch_is_sent(workspace: Workspace) -> None:
    tenant = configure(workspace, "20h", f"definitions: {{{CART}: {{active_from: {SWITCH}, announce: true}}}}\n")
    compute(tenant, DAYS, noon(2))
    caused = official.transitions(tenant, SWITCH).filter(caused_by="definition", cohort_id=CART)
    told = tenant.lake.read("event_log", [SWITCH]).join(caused.select("transition_id"), on="transition_id", how="semi")
    assert set(told["emission"]) == {"sent"}


def test_a_change_that_counts_from_the_past_is_taken_back_in_silence(workspace: Workspace) -> None:
    tenant = configure(workspace, "20h", f"definitions: {{{CART}: {{active_from: {DAYS[1]}}}}}\n")
    compute(tenant, DAYS, noon(2))
    everything_agrees(tenant)
    fresh = tenant.lake.read("event_log", BEFORE).filter(pl.col("detected_at") == noon(2), cohort_id=CART)
    assert fresh.height
    assert "sent" not in set(fresh["emission"])


def test_a_rebuild_from_the_register_gives_the_same_rows(workspace: Workspace) -> None:
    tenant = configure(workspace, "20h")
    compute(tenant, DAYS, noon(2))
    whole = {table: tenant.lake.files(table) for table in (*TABLES, TABLE)}
    for table in whole:
        shutil.rmtree(tenant.lake.root / table)
    shutil.rmtree(tenant.state)
    compute(tenant, DAYS, noon(3))
    assert {table: tenant.lake.files(table) for table in whole} == whole
    ledger = tenant.lake.read("cohort_definitions").filter(cohort_id=CART)
    assert ledger.select("active_from", "active_to").rows() == [(None, BEFORE[-1]), (SWITCH, None)]
    assert ledger["first_seen"].to_list() == [noon(1), noon(2)]


def test_late_data_before_the_switch_recomputes_both_versions(workspace: Workspace, tmp_path: Path) -> None:
    tenant = configure(workspace, "20h")
    compute(tenant, DAYS, noon(2))
    write_history(tenant, 6)
    run_signals(tenant, DAYS)
    compute(tenant, DAYS, noon(3))
    everything_agrees(tenant)
    fresh = configure(make_workspace(tmp_path / "fresh"), "20h")
    write_history(fresh, 6)
    shutil.copytree(register_of(tenant), register_of(fresh))
    run_signals(fresh, DAYS)
    compute(fresh, DAYS, noon(3))
    for table in (*TABLES, TABLE):
        assert fresh.lake.files(table) == tenant.lake.files(table)


def test_what_cannot_be_computed_any_more_stays_as_it_was(workspace: Workspace) -> None:
    old = version_of(workspace.tenant("acme"))
    kept = rows(workspace.tenant("acme"), "cohort_membership", old, BEFORE)
    [file] = register_of(workspace.tenant("acme")).glob(f"{CART}/{old}.json")
    file.write_text(file.read_text().replace('"within":', '"inside":'))
    tenant = configure(workspace, "20h")
    compute(tenant, DAYS, noon(2))
    assert rows(tenant, "cohort_membership", old, DAYS).equals(kept)
    assert not rows(tenant, "cohort_membership", version_of(tenant), BEFORE).is_empty()


def test_the_timeline_says_what_counts() -> None:
    first, second, third = date(2026, 3, 1), date(2026, 3, 10), date(2026, 3, 20)
    line = proposed(Timeline(), {"a": "1", "b": "1"}, {}, None, noon(1))
    assert not line.changed
    line = proposed(line, {"a": "2", "b": "1"}, {}, date(2026, 3, 9), noon(2))
    assert (line.active(second)["a"], line.active(first)["a"]) == ("2", "1")
    assert line.switching(second) == {"a"}
    assert line.needed(first) == {"a": ["1", "2"], "b": ["1"]}
    assert line.needed(second) == {"a": ["2"], "b": ["1"]}
    moved = proposed(line, {"a": "2", "b": "1"}, {"a": (third, True)}, date(2026, 3, 15), noon(3))
    assert moved.active(second)["a"] == "1"
    assert moved.announced(third) == {"a"}
    assert moved.cohorts["a"][-1] == Activation("2", third, noon(2).isoformat(), True)
    back = proposed(line, {"a": "1", "b": "1"}, {}, date(2026, 3, 19), noon(4))
    assert [back.active(day)["a"] for day in (first, second, third)] == ["1", "2", "1"]
    assert back.needed(first)["a"] == ["1", "2"]
    ended = proposed(line, {"a": "2"}, {}, date(2026, 3, 19), noon(4))
    assert "b" not in ended.active(third)
    assert ended.switching(third) == {"b"}


def test_seeing_the_same_definitions_again_changes_nothing(workspace: Workspace) -> None:
    tenant = workspace.tenant("acme")
    known = timeline(tenant)
    assert seen(tenant, cohorts(tenant), noon(9)) == known


def murmur(workspace: Workspace, *words: object) -> Any:
    places = ["--home", str(workspace.home), "--tenants", str(workspace.tenants)]
    arguments = [*places, "cohort", *map(str, words), "--tenant", "acme", "--json"]
    done = CliRunner().invoke(cli, arguments, standalone_mode=False)
    if done.exception:
        raise done.exception
    return json.loads(done.stdout)


def shipped(folder: Path, cohort: str, old: str = "", new: str = "", name: str = "") -> Path:
    """A file of the catalogue with a change."""
    file = folder / f"{name or cohort}.yaml"
    file.write_text((SHIPPED / f"{cohort}.yaml").read_text().replace(old, new))
    return file


def test_a_diff_before_a_change_says_what_the_change_then_does(workspace: Workspace) -> None:
    configure(workspace, "20h")
    expected = murmur(workspace, "diff", CART, "--as-of", BEFORE[-1])
    assert expected["from"]["definition_version"] != expected["to"]["definition_version"]
    assert expected["enter"]["count"] and not expected["leave"]["count"]
    assert expected["to"]["size"] == expected["from"]["size"] + expected["enter"]["count"]
    tenant = workspace.tenant("acme")
    compute(tenant, DAYS, noon(2))
    caused = official.transitions(tenant, SWITCH).filter(caused_by="definition", direction="entered", cohort_id=CART)
    start = day_of(SWITCH, tenant.zone).start
    new = expected["to"]["definition_version"]
    left = rows(tenant, "cohort_transitions", new, [SWITCH]).filter(direction="exited", effective_at=start)
    # Who would leave at the very instant of the switch does not come in for it.
    told = {*caused["subject"], *left["subject"]}
    assert caused.height <= expected["enter"]["count"] <= len(told)
    assert {row["subject"] for row in expected["enter"]["sample"]} <= told
    # Both versions are registered now; the answer is read where the day holds it and computed where it does not.
    names = [expected[side]["definition_version"] for side in ("from", "to")]
    again = murmur(workspace, "diff", CART, "--versions", *names, "--as-of", BEFORE[-1])
    assert again == expected
    later = murmur(workspace, "diff", CART, "--versions", *reversed(names), "--as-of", SWITCH)
    assert later["leave"]["count"] == 0 or later["from"]["size"] > later["to"]["size"]
    assert later["from"]["size"] == official.membership(tenant, SWITCH).filter("is_member", cohort_id=CART).height
    assert rows(tenant, "cohort_membership", names[0], [SWITCH]).is_empty()


def test_a_diff_with_a_file(workspace: Workspace, tmp_path: Path) -> None:
    same = shipped(tmp_path, CART, "value: 7d", "value: 12h")
    found = murmur(workspace, "diff", CART, same, "--as-of", BEFORE[-1])
    assert found["from"] == found["to"]
    assert (found["enter"]["count"], found["leave"]["count"], found["stay"]) == (0, 0, found["to"]["size"])
    shorter = shipped(tmp_path, CART, "value: 7d", "value: 1h")
    found = murmur(workspace, "diff", CART, shorter, "--as-of", BEFORE[-1])
    assert found["leave"]["count"]
    with pytest.raises(UsageError, match="make them equal"):
        murmur(workspace, "diff", "lapsed_shopper", same)
    with pytest.raises(UsageError, match="has no version 'zzz'"):
        murmur(workspace, "diff", CART, "--versions", "zzz", "zzz")


def test_a_preview_saves_nothing(workspace: Workspace, tmp_path: Path) -> None:
    file = shipped(tmp_path, "repeat_purchaser", "repeat_purchaser", "often", name="often")
    tenant = workspace.tenant("acme")
    before = {table: tenant.lake.version(table) for table in tenant.lake.tables()}
    found = murmur(workspace, "preview", file, "--as-of", BEFORE[-1], "--sample", 2)
    twin = official.membership(tenant, BEFORE[-1]).filter("is_member", cohort_id="repeat_purchaser")
    assert found["size"] == twin.height > 2
    assert len(found["sample"]) == 2 and {row["subject"] for row in found["sample"]} < set(twin["subject"])
    shared = {"cohort_id": "repeat_purchaser", "size": twin.height, "shared": twin.height, "share": 100.0}
    assert shared in found["overlap"]
    assert found["seconds"] > 0
    assert {table: tenant.lake.version(table) for table in tenant.lake.tables()} == before
    assert "often" not in timeline(tenant).cohorts
    broken = shipped(tmp_path, "repeat_purchaser", "at_least", "least")
    refused = murmur(workspace, "preview", broken)
    assert not refused["valid"] and refused["problems"][0]["path"].startswith("rule")
