"""What is explained is what the engine published: for every cohort and key, every subject, on the last day."""

from __future__ import annotations

import pytest

from pipelines.calendar import day_of, days_between
from pipelines.cli.query import run_query
from pipelines.cohorts.catalogue import cohorts
from pipelines.cohorts.explain.subject import explain
from pipelines.cohorts.history.publish import run
from tests.cohorts.streams_cases import ZONE
from tests.cohorts.tables_cases import tables_case
from tests.cohorts.test_engine_against_sql import PARAMETERS, publish
from tests.conftest import make_workspace

SUBJECTS = {"visitor": ("v1", "v2", "v3"), "customer": ("c1", "c2", "c3", "c4")}


@pytest.fixture(scope="module", params=[3, 8])
def shop(request, tmp_path_factory):
    """A tenant with two weeks of random tables, computed, and the last day."""
    folder = tmp_path_factory.mktemp("shop")
    workspace = make_workspace(folder)
    file = folder / "tenants" / "acme" / "tenant.yaml"
    file.write_text(file.read_text() + PARAMETERS)
    tenant = workspace.tenant("acme")
    tables, days = tables_case(request.param, reach=14)
    run(tenant, days_between(publish(tenant, tables), days[-1]))
    return tenant, days[-1]


def published(tenant, day):
    rows = tenant.lake.read("cohort_membership", [day])
    return {(row["cohort_id"], row["subject"]): row for row in rows.to_dicts()}


def keys(cohort, rows):
    """Ids to ask for: of a family one of each key that occurs, and one that nobody has."""
    if cohort.for_each is None:
        return [cohort.id]
    return sorted({name for name, _ in rows if name.startswith(f"{cohort.id}:")} | {f"{cohort.id}:nobody"})


def test_members_and_their_distance(shop):
    tenant, date = shop
    known = cohorts(tenant)
    kept = {}

    def query(sql):
        if sql not in kept:
            kept[sql] = run_query(tenant, sql)[1]
        return kept[sql]

    wrong, inside = [], set()
    day, rows = day_of(date, ZONE), published(tenant, date)
    for cohort in known.values():
        for name in keys(cohort, rows):
            for subject in SUBJECTS[cohort.subject]:
                found = explain(tenant, known, name, subject, day, query)
                row = rows.get((name, subject))
                member = bool(row and row["is_member"])
                if found["is_member"] != member or found["note"]:
                    wrong.append((date, name, subject, member, found["missing"], found["note"]))
                if cohort.subject == "customer":
                    assert all(each["id"] for each in found["evidence"]), found["evidence"]
                # A non-member is told the first thing that fails, a member nothing.
                assert (found["missing"] is None) == found["is_member"]
                if member:
                    inside.add(cohort.id)
                    assert found["entered_at"] == row["entered_at"] and found["expires_at"] == row["expires_at"]
                elif row:
                    assert found["left"]["at"] == row["expires_at"]
    assert not wrong
    assert len(inside) >= 8, sorted(inside)
