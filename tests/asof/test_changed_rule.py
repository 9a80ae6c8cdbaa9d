"""A rule is changed between two runs of the whole flow: what was published stays, and the next day begins with it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from pipelines import flow
from pipelines.asof.agreement import agreements
from pipelines.cohorts.history import official
from pipelines.cohorts.history.definitions import timeline
from pipelines.config import Tenant, Workspace
from pipelines.exports.revision import newest_revisions
from pipelines.exports.target import export_store
from pipelines.freshness import CARRIED, Freshness
from tests.asof.test_late_purchase import added
from tests.conftest import make_workspace
from tests.properties.tenants import land

FIRST, SECOND, THIRD = (date(2026, 3, day) for day in (10, 11, 12))
CART = "cart_abandoner"
EARLY = [added("e0", "01:00", "v0", str(FIRST)), added("e1", "10:00", "v1", str(FIRST))]
EARLY += [added("e2", "10:00", "v2", str(SECOND))]


def change(workspace: Workspace, ttl: str) -> Tenant:
    file = workspace.tenants / "acme" / "tenant.yaml"
    file.write_text(file.read_text().split("parameters:")[0] + f"parameters:\n  {CART}: {{ttl: {ttl}}}\n")
    return workspace.tenant("acme")


def published(tenant: Tenant) -> dict[tuple[str, str], int]:
    store = export_store(tenant, "s3")
    assert store is not None
    return {
        (each.dataset, each.date): each.revision
        for each in newest_revisions(store)
        if each.dataset.startswith("cohort_")
    }


def nothing_is_stale(tenant: Tenant) -> bool:
    freshness = Freshness(tenant)
    return not any(freshness.stale(step, freshness.available_days()) for step in flow.STEPS)


def test_a_change_leaves_what_was_published_and_counts_from_the_next_day(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    tenant = change(workspace, "7d")
    land(tenant, "customer_events", EARLY)
    flow.run(tenant)
    before = published(tenant)
    assert nothing_is_stale(tenant)

    tenant = change(workspace, "30h")
    done = {outcome.step.name: outcome for outcome in flow.run(tenant)}
    assert set(done["cohorts"].work.reasons.values()) <= {
        "definition changed",
        CARRIED,
        f"definition changed; {CARRIED}",
    }
    assert done["cohorts"].days == (FIRST, SECOND)
    assert published(tenant) == before
    assert set(before.values()) == {1}
    assert nothing_is_stale(tenant)
    [old, new] = timeline(tenant).cohorts[CART]
    assert (old.active_from, new.active_from) == (None, THIRD)

    land(tenant, "customer_events", [added("e3", "10:00", "v3", str(THIRD))])
    flow.run(tenant)
    assert nothing_is_stale(tenant)
    moves = official.transitions(tenant, THIRD).filter(cohort_id=CART)
    told = moves.sort("effective_at", "subject").select("subject", "direction", "caused_by").rows()
    # Two carts have been left for more than thirty hours when the shorter time begins to count.
    assert told == [
        ("v0", "exited", "definition"),
        ("v1", "exited", "definition"),
        ("v3", "entered", "silence"),
        ("v2", "exited", "expiry"),
    ]
    log = tenant.lake.read("event_log", [THIRD]).filter(cohort_id=CART)
    assert dict(log.select("subject", "emission").rows())["v0"] == "withheld"
    assert dict(log.select("subject", "emission").rows())["v3"] == "sent"
    assert published(tenant).items() >= {key: 1 for key in before if key[1] != "9999-12-31"}.items()
    assert not [each for each in agreements(tenant) if each.differences]
    inside = official.membership(tenant, THIRD).filter("is_member", cohort_id=CART)
    assert "v3" in set(inside["subject"])
    assert set(inside["definition_version"]) == {new.version}
