"""What is dropped into an inbox lands once, wherever the inbox is, and nothing in it stops the rest."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.config import InboxSource, Tenant, TenantConfig
from pipelines.errors import UsageError
from pipelines.landing import inbox, ingest, seen, store
from pipelines.landing.drops import entity_of
from pipelines.landing.inbox import glance, land_drops
from pipelines.storage.objects import LocalStore, ObjectStore, open_store
from tests.landing.support import customer, event, ndjson, parquet, rows, zipped
from tests.storage.servers import BUCKET, s3_server
from tests.storage.strict_gcs import strict_gcs

LATER = datetime.now(UTC) + timedelta(hours=1)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def gcs() -> Iterator[Any]:
    with strict_gcs() as server:
        yield server


def tenant_of(home: Path, *urls: str, after: Any = "keep") -> Tenant:
    sources = tuple(InboxSource(url=url, after=after) for url in urls)
    return Tenant(TenantConfig(id="demo", timezone="Europe/London", inbox=sources), home, home)


@pytest.fixture(params=["file", "s3", "gs"])
def dropped(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Tenant, ObjectStore]:
    if request.param == "file":
        url = (tmp_path / "in box").as_uri()
    else:
        request.getfixturevalue({"s3": "s3", "gs": "gcs"}[request.param])
        url = f"{request.param}://{BUCKET}/drops/{uuid.uuid4().hex}"
    return tenant_of(tmp_path / "home", url), open_store(url)


@pytest.fixture
def local(tmp_path: Path) -> tuple[Tenant, LocalStore]:
    tenant = tenant_of(tmp_path)
    return tenant, LocalStore(tenant.inbox)


def look(tenant: Tenant) -> inbox.Look:
    return land_drops(tenant, lambda: LATER)


def ids(tenant: Tenant, entity: str = "customers") -> list[str]:
    return [row["external_id"] for row in rows(tenant, entity)]


def test_drops_land_once_and_a_changed_object_lands_again(dropped: tuple[Tenant, ObjectStore]) -> None:
    tenant, bucket = dropped
    bucket.put("customers/2026/one.ndjson", ndjson([customer()]))
    bucket.put("customers/two.parquet", parquet([customer(external_id="c-2")]))
    bucket.put("customer_events/e.ndjson.gz", zipped(ndjson([event()])))
    first = look(tenant)
    assert first.counts() == {"landed": 3, "known": 0, "failed": 0}
    assert {receipt.source for receipt in first.receipts} == {"drop"}
    assert ids(tenant) == ["c-1", "c-2"]
    assert glance(tenant, LATER)[0] == []
    assert look(tenant).counts() == {"landed": 0, "known": 0, "failed": 0}
    bucket.put("customers/2026/one.ndjson", ndjson([customer(), customer(external_id="c-3")]))
    (again,) = look(tenant).receipts
    assert (again.accepted, again.duplicate) == (1, 1)
    assert ids(tenant) == ["c-1", "c-2", "c-3"]


def test_what_cannot_land_is_reported_and_stays(dropped: tuple[Tenant, ObjectStore]) -> None:
    tenant, bucket = dropped
    for key in ("shoes/a.ndjson", "customers/a.xlsx", "customers/a.ndjson.part", "customers/b.csv.crdownload"):
        bucket.put(key, b"x")
    bucket.put("customers/empty.ndjson", b"")
    bucket.put("customers/good.ndjson", ndjson([customer()]))
    found = look(tenant)
    assert found.counts() == {
        "landed": 1,
        "known": 0,
        "failed": 0,
        "empty": 1,
        "unfinished": 2,
        "unknown_entity": 1,
        "unknown_format": 1,
    }
    assert found.left["unknown_entity"][0].found.key == "shoes/a.ndjson"
    assert len(bucket.list()) == 6


def test_an_unreadable_object_stops_no_other(
    dropped: tuple[Tenant, ObjectStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, bucket = dropped
    for name in ("a", "b", "c"):
        bucket.put(f"customers/{name}.ndjson", ndjson([customer(external_id=name)]))
    fetched = inbox._fetched

    def broken(where: Tenant, store: ObjectStore, drop: Any) -> Any:
        if drop.name == "b.ndjson":
            raise PermissionError(13, "Permission denied")
        return fetched(where, store, drop)

    with monkeypatch.context() as patch:
        patch.setattr(inbox, "_fetched", broken)
        found = look(tenant)
    assert [(drop.name, why) for drop, why in found.failed] == [("b.ndjson", "Permission denied")]
    assert ids(tenant) == ["a", "c"]
    assert look(tenant).counts() == {"landed": 1, "known": 0, "failed": 0}
    assert ids(tenant) == ["a", "b", "c"]


def test_an_object_that_changes_while_it_is_read_lands_whole_at_the_next_look(
    dropped: tuple[Tenant, ObjectStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, bucket = dropped
    bucket.put("customers/a.ndjson", ndjson([customer()]))
    listed = inbox.drops

    def then_changed(store: ObjectStore, now: datetime) -> Any:
        found = listed(store, now)
        bucket.put("customers/a.ndjson", ndjson([customer(), customer(external_id="c-2")]))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(inbox, "drops", then_changed)
        assert [why for _, why in look(tenant).failed] == ["changed while it was read; the next look reads it again"]
    assert ids(tenant) == []
    look(tenant)
    assert ids(tenant) == ["c-1", "c-2"]


def clearing(dropped: tuple[Tenant, ObjectStore], after: str) -> tuple[Tenant, ObjectStore]:
    tenant, bucket = dropped
    return tenant_of(tenant.home, bucket.url, after=after), bucket


def test_what_landed_is_moved_and_not_seen_again(dropped: tuple[Tenant, ObjectStore]) -> None:
    tenant, bucket = clearing(dropped, "move")
    one, two = ndjson([customer()]), ndjson([customer(external_id="c-2")])
    bucket.put("customers/2026/one.ndjson", one)
    bucket.put("customers.0001.ndjson", two)
    bucket.put("shoes/a.ndjson", b"x")
    assert look(tenant).counts() == {"landed": 2, "known": 0, "failed": 0, "unknown_entity": 1}
    bucket.put("customers/2026/one.ndjson", ndjson([customer(external_id="c-3")]))
    look(tenant)
    ends = sorted(key.rpartition("/")[2][13:] for key in bucket.list("_landed/customers/"))
    assert ends == ["customers.0001.ndjson", "one.ndjson", "one.ndjson"]
    assert {bucket.get(key) for key in bucket.list("_landed/")} >= {one, two}
    assert [key for key in bucket.list() if not key.startswith("_landed/")] == ["shoes/a.ndjson"]
    assert glance(tenant, LATER)[0] == []
    assert ids(tenant) == ["c-1", "c-2", "c-3"]


def test_what_landed_is_deleted_and_what_was_refused_stays_readable(dropped: tuple[Tenant, ObjectStore]) -> None:
    tenant, bucket = clearing(dropped, "delete")
    bucket.put("customers/one.ndjson", ndjson([customer(), "{"]))
    assert look(tenant).receipts[0].quarantined == 1
    assert list(bucket.list()) == []


def test_an_object_that_was_written_anew_since_it_landed_stays(
    dropped: tuple[Tenant, ObjectStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, bucket = clearing(dropped, "delete")
    bucket.put("customers/a.ndjson", ndjson([customer()]))
    remember = seen.remember

    def then_changed(*known: Any) -> None:
        remember(*known)
        bucket.put("customers/a.ndjson", ndjson([customer(external_id="c-2")]))

    with monkeypatch.context() as patch:
        patch.setattr(seen, "remember", then_changed)
        look(tenant)
    assert bucket.list() == ["customers/a.ndjson"]
    look(tenant)
    assert (ids(tenant), list(bucket.list())) == (["c-1", "c-2"], [])


@pytest.mark.parametrize("after", ["move", "delete"])
@pytest.mark.parametrize("name", ["copy", "delete"])
def test_a_look_killed_while_it_clears_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str, name: str
) -> None:
    folder = LocalStore(tmp_path / "in")
    tenant = tenant_of(tmp_path / "home", folder.url, after=after)
    for key in ("a", "b"):
        folder.put(f"customers/{key}.ndjson", ndjson([customer(external_id=key)]))

    def die(*_: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, name, die)
        if (after, name) != ("delete", "copy"):
            with pytest.raises(Killed):
                look(tenant)
            # A sensor sees that there is something to do.
            assert len(glance(tenant, LATER)[0]) == 2
    assert look(tenant).counts()["failed"] == 0
    assert ids(tenant) == ["a", "b"]
    assert len(folder.list("_landed/")) == (2 if after == "move" else 0)
    assert list(folder.list("customers/")) == []


def test_what_may_not_be_moved_is_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = LocalStore(tmp_path / "in")
    tenant = tenant_of(tmp_path / "home", folder.url, after="move")
    folder.put("customers/a.ndjson", ndjson([customer()]))

    def refused(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "delete", refused)
        found = look(tenant)
    assert [why for _, why in found.failed] == ["landed, but cannot be moved: Permission denied"]
    assert (ids(tenant), len(found.receipts)) == (["c-1"], 1)
    assert look(tenant).counts() == {"landed": 0, "known": 0, "failed": 0}
    assert len(folder.list()) == 1


class Killed(BaseException):
    pass


@pytest.mark.parametrize(("module", "name"), [(ingest, "create_bytes"), (seen, "remember"), (inbox, "_fetched")])
def test_a_killed_look_is_finished_by_the_next(
    local: tuple[Tenant, LocalStore], monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    tenant, folder = local
    for key in ("a", "b"):
        folder.put(f"customers/{key}.ndjson", ndjson([customer(external_id=key)]))

    def die(*_: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, name, die)
        with pytest.raises(Killed):
            look(tenant)
    found = look(tenant)
    assert found.counts()["failed"] == 0
    assert ids(tenant) == ["a", "b"]
    assert sum(r["accepted"] for r in store.receipts(tenant, "customers")) == 2
    assert look(tenant).receipts == []


def test_a_lost_or_cut_off_memory_lands_nothing_twice(local: tuple[Tenant, LocalStore]) -> None:
    tenant, folder = local
    for key in ("a", "b"):
        folder.put(f"customers/{key}.ndjson", ndjson([customer(external_id=key)]))
    look(tenant)
    memory = tenant.state / "inbox" / "seen.ndjson"
    memory.write_bytes(memory.read_bytes()[:-5])
    assert look(tenant).counts() == {"landed": 0, "known": 1, "failed": 0}
    assert len(seen.seen(tenant)) == 2
    memory.unlink()
    assert look(tenant).counts() == {"landed": 0, "known": 2, "failed": 0}
    assert ids(tenant) == ["a", "b"]


def test_what_is_gone_from_the_inbox_is_forgotten_in_time(
    local: tuple[Tenant, LocalStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, folder = local
    monkeypatch.setattr(seen, "_SLACK", 1)
    for n in range(4):
        folder.put(f"customers/{n}.ndjson", ndjson([customer(external_id=str(n))]))
    look(tenant)
    for n in range(3):
        folder.delete(f"customers/{n}.ndjson")
    look(tenant)
    assert [identity[1] for identity in seen.seen(tenant)] == ["customers/3.ndjson"]


def test_a_file_that_is_being_written_waits(local: tuple[Tenant, LocalStore]) -> None:
    tenant, folder = local
    folder.put("customers/a.ndjson", ndjson([customer()]))
    written = folder.look()[0].modified
    assert land_drops(tenant, lambda: written + timedelta(seconds=1)).counts()["settling"] == 1
    assert land_drops(tenant, lambda: written + timedelta(seconds=3)).counts()["landed"] == 1


def test_a_link_is_not_followed(local: tuple[Tenant, LocalStore], tmp_path: Path) -> None:
    tenant, folder = local
    (tmp_path / "private.ndjson").write_bytes(ndjson([customer()]))
    (folder.root / "customers").mkdir(parents=True)
    (folder.root / "customers" / "a.ndjson").symlink_to(tmp_path / "private.ndjson")
    assert look(tenant).counts()["link"] == 1
    assert ids(tenant) == []


@pytest.mark.usefixtures("s3")
def test_an_inbox_that_cannot_be_listed_stops_no_other(tmp_path: Path) -> None:
    good = LocalStore(tmp_path / "good")
    tenant = tenant_of(tmp_path / "home", "s3://no-such-bucket/x", good.url)
    good.put("customers/a.ndjson", ndjson([customer()]))
    found = look(tenant)
    assert [url for url, _ in found.unreachable] == ["s3://no-such-bucket/x"]
    assert ids(tenant) == ["c-1"]


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    source = InboxSource(
        url="s3://b/x", role_arn="arn:aws:iam::123456789012:role/drops", external_id_env="NOT_SET_HERE"
    )
    config = TenantConfig(id="demo", timezone="Europe/London", inbox=(source,))
    with pytest.raises(UsageError, match="NOT_SET_HERE"):
        look(Tenant(config, tmp_path, tmp_path))


def test_urls_may_stand_alone_in_the_configuration() -> None:
    config = TenantConfig.model_validate({"id": "demo", "timezone": "UTC", "inbox": ["s3://b/x", {"url": "gs://c"}]})
    assert [source.url for source in config.inbox] == ["s3://b/x", "gs://c"]


@pytest.mark.parametrize(
    ("key", "entity"),
    [
        ("customers/a.csv", "customers"),
        ("customers/2026/03/a.csv", "customers"),
        ("customers.ndjson", "customers"),
        ("customers.0001.ndjson.gz", "customers"),
        ("customer.ndjson", None),
        ("truth/customers.ndjson", None),
        ("customers", None),
    ],
)
def test_the_place_of_a_file_says_its_entity(key: str, entity: str | None) -> None:
    assert entity_of(key) == entity
