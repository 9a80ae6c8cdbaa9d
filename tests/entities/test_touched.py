"""Reference data of which few ids arrived is put together from what was published, and is what a whole fold gives."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.config import Tenant
from pipelines.entities import steps, touched
from pipelines.entities.erase import erase
from pipelines.storage.lake import Writer
from tests.conftest import make_workspace
from tests.landing.support import NOW, customer, land

TABLES = ("customers", "customers_history", "customer_merges")


@pytest.fixture
def folded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Entities that were folded whole, counted."""
    seen: Counter[str] = Counter()
    whole = steps._folded

    def counting(tenant: Tenant, name: str, inside: Any) -> Any:
        seen[name] += 1
        return whole(tenant, name, inside)

    monkeypatch.setattr(steps, "_folded", counting)
    return seen


def publish(tenant: Tenant) -> list[str]:
    steps.publish_dimensions(tenant, ["customers"])
    return [tenant.lake.files(table)[None] for table in TABLES]


def whole(folder: Path, batches: list[list[dict[str, Any]]]) -> list[str]:
    """The files that one run after all batches makes."""
    folder.mkdir()
    tenant = make_workspace(folder).tenant("acme")
    for batch in batches:
        land(tenant, "customers", batch)
    return publish(tenant)


def said(key: str, hour: int, **fields: Any) -> dict[str, Any]:
    return customer(external_id=key, updated_at=f"2026-01-02T{hour:02}:00:00Z", **fields)


MANY = [said(f"c-{number:03}", 1, language="en") for number in range(60)]


def test_only_ids_that_arrived_are_folded_again(tmp_path: Path, folded: Counter[str]) -> None:
    tenant = make_workspace(tmp_path).tenant("acme")
    batches = [
        MANY,
        [said("c-007", 2, language="fr"), said("b-new", 1), said("z-new", 1, op="delete")],
        [
            said("c-007", 3, op="patch", status="active"),
            said("c-008", 2, op="delete"),
            said("c-009", 2, merged_into="c-1"),
        ],
        [said("c-007", 0, language="de"), said("c-009", 3), said("c-008", 3, op="patch", tags=["vip"])],
    ]
    for index, batch in enumerate(batches):
        land(tenant, "customers", batch)
        found = publish(tenant)
        assert folded == {"customers": 1}, index
    assert publish(tenant) == found
    assert folded == {"customers": 1}
    assert found == whole(tmp_path / "again", batches)


def test_what_nobody_touched_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = make_workspace(tmp_path).tenant("acme")
    land(tenant, "customers", MANY)
    first = steps.dimensions(tenant, [])
    written: list[str] = []
    real = Writer.put

    def counting(self: Writer, *arguments: Any) -> None:
        written.append(self.contract.name)
        real(self, *arguments)

    monkeypatch.setattr(Writer, "put", counting)
    land(
        tenant,
        "outlets",
        [
            {
                "external_id": "o-1",
                "updated_at": "2026-01-02T00:00:00Z",
                "name": "Mill",
                "kind": "store",
                "timezone": "Europe/London",
                "country": "GB",
            }
        ],
    )
    again = steps.dimensions(tenant, [])
    assert list(again) == list(first) == list(steps.STEPS[0].outputs)
    assert not set(TABLES).intersection(written)
    assert {"outlets", "outlets_history"} <= set(written)
    for table in TABLES:
        assert (again[table].version, again[table].rows) == (first[table].version, first[table].rows)
        assert (again[table].changed, again[table].equal) == ((), (None,))
    tenant.lake.replace("customer_merges", tenant.lake.read("customer_merges"))
    (tenant.lake.root / "customer_merges").rename(tmp_path / "gone")
    assert steps.dimensions(tenant, [])["customer_merges"].changed == (None,)


def test_more_than_a_few_or_other_tables_are_folded_whole(tmp_path: Path, folded: Counter[str]) -> None:
    tenant = make_workspace(tmp_path).tenant("acme")
    land(tenant, "customers", MANY)
    publish(tenant)
    land(tenant, "customers", [said(f"c-{number:03}", 2) for number in range(20)])
    expected = publish(tenant)
    assert folded["customers"] == 2
    tenant.lake.replace("customers", tenant.lake.read("customers").head(10))
    assert publish(tenant) == expected
    assert folded["customers"] == 3
    (tenant.state / "made_of" / "customers" / "whole.json").unlink()
    assert publish(tenant) == expected
    assert folded["customers"] == 4


def test_another_contract_folds_all_again(
    tmp_path: Path, folded: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = make_workspace(tmp_path).tenant("acme")
    land(tenant, "customers", MANY)
    publish(tenant)
    monkeypatch.setattr(touched, "MEANING", "another")
    publish(tenant)
    assert folded["customers"] == 2


def test_whoever_is_erased_is_folded_again(tmp_path: Path, folded: Counter[str]) -> None:
    tenant = make_workspace(tmp_path).tenant("acme")
    land(tenant, "customers", MANY)
    publish(tenant)
    erase(tenant, "c-007", now=NOW, by="tester")
    rows = tenant.lake.read("customers").filter(external_id="c-007")
    assert rows["status"].to_list() == ["erased"]
    assert rows["language"].to_list() == [None]
    assert folded["customers"] == 2


def test_a_batch_that_lands_while_the_tables_are_made_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = make_workspace(tmp_path).tenant("acme")
    land(tenant, "customers", MANY)
    late = [said("c-007", 2, language="fr")]
    real = steps._folded

    def landing(*arguments: Any) -> Any:
        made = real(*arguments)
        land(tenant, "customers", late)
        return made

    with monkeypatch.context() as patch:
        patch.setattr(steps, "_folded", landing)
        publish(tenant)
    assert publish(tenant) == whole(tmp_path / "again", [MANY, late])


VERSIONS = st.builds(
    said,
    st.sampled_from([f"c-{number:03}" for number in range(0, 66, 6)]),
    st.integers(0, 4),
    op=st.sampled_from(["upsert", "upsert", "patch", "delete"]),
    language=st.sampled_from(["en", "fr", None]),
    merged_into=st.sampled_from([None, None, "c-000", "c-006", "x"]),
)


@settings(max_examples=4)
@given(st.lists(st.lists(VERSIONS, min_size=1, max_size=5), min_size=1, max_size=4))
def test_any_batches_with_runs_between_give_the_files_of_one_run(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[dict[str, Any]]]
) -> None:
    folder = tmp_path_factory.mktemp("between")
    tenant = make_workspace(folder).tenant("acme")
    found: list[str] = []
    for batch in [MANY, *batches]:
        land(tenant, "customers", batch)
        found = publish(tenant)
    assert found == whole(folder / "again", [MANY, *batches])
