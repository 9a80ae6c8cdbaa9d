"""An erased person is gone from every byte, while ids, counts and money stay; again, killed or sent again alike."""

from __future__ import annotations

import io
import itertools
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from pipelines.cli.main import cli
from pipelines.config import Tenant
from pipelines.entities import dimension_accounts, erasures
from pipelines.entities.erase import SHOWN, erase
from pipelines.entities.steps import STEPS, publish_dimensions
from pipelines.errors import UsageError
from pipelines.landing import erasure, ingest, leftovers, quarantine, store, vault
from pipelines.landing.layout import sealed_personal, sealed_quarantine, sealed_raw
from pipelines.storage.hashing import logical_sha256
from schemas.entities import ENTITIES
from tests.conftest import make_workspace
from tests.landing.support import customer, event, land, ndjson, parquet, zipped

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAYS = [date(2026, 1, 2)]
ANN = {
    "email": "Ann.Marked@example.com",
    "phone": "+44 7700 900123",
    "first_name": "Annmarked",
    "birth_date": "1987-06-05",
    "loyalty_card_number": "CARD-MARKED-1",
    "address": {"line1": "1 Marked Street", "postal_code": "SW1A 1AA", "country": "GB"},
    "language": "en-marked",
    "attributes": {"shoe": "size-marked"},
}
BOB = {"email": "bob@example.com", "phone": "+44 7700 900456", "first_name": "Bobkept", "language": "fr"}
MARKS = [b"ann.marked", b"900123", b"annmarked", b"card-marked", b"marked street", b"en-marked", b"size-marked"]


def opt_out(key: str, **fields: Any) -> dict[str, Any]:
    base = {"channel": "email", "scope": "all", "action": "opt_out", "reason": "agent"}
    return {"external_id": key, "occurred_at": "2026-01-02T00:00:00Z", **base, **fields}


@pytest.fixture
def where(tmp_path: Path) -> Tenant:
    return make_workspace(tmp_path).tenant("acme")


def send(where: Tenant) -> None:
    refused = customer(external_id="c-1", updated_at="never", **ANN)
    rows = [customer(external_id="c-1", **ANN), customer(external_id="c-10", **BOB), refused]
    rows.append(customer(external_id="c-10", updated_at="never", **BOB))
    land(where, "customers", rows)
    land(
        where,
        "customers",
        ndjson([customer(external_id="c-1", updated_at="2026-01-03T00:00:00Z", **ANN)]),
        "one.ndjson",
    )
    land(
        where,
        "customers",
        zipped(ndjson([customer(external_id="c-1", updated_at="2026-01-04T00:00:00Z", **ANN), rows[1]])),
        "z.ndjson.gz",
    )
    flat = [{k: json.dumps(v) if isinstance(v, dict) else v for k, v in row.items()} for row in rows[:1]]
    land(where, "customers", parquet(flat), "rows.parquet")
    land(
        where,
        "customers",
        json.dumps([customer(external_id="c-10", updated_at="2026-01-05T00:00:00Z", **BOB), *rows[:1]]).encode(),
        "a.json",
    )
    land(where, "opt_outs", [opt_out("o1", contact="ann.marked@example.com"), opt_out("o2", contact="+447700900123")])
    land(where, "opt_outs", [opt_out("o3", customer_id="c-1"), opt_out("o4", contact="bob@example.com")])
    talk = {"query": "call 07700 900123 please"}
    land(where, "customer_events", [event(customer_id="c-1", **talk), event(external_id="e-2", customer_id="c-10")])
    land(where, "customer_events", [event(external_id="e-3", occurred_at="never", customer_id="c-1", **talk)])


def run(where: Tenant) -> None:
    publish_dimensions(where, SHOWN)
    next(step for step in STEPS if step.name == "customer_events").run(where, DAYS)


def everything(where: Tenant) -> dict[str, bytes]:
    """Every file by name: sealed ones opened, tables as text."""
    found = {}
    for path in where.home.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if path.suffix == ".enc":
                data = b"".join(vault.unseal(where, path))
                if path.parent.name in ENTITIES and path.parent.parent.name != "quarantine":
                    data = b"".join(pl.read_ipc(io.BytesIO(p)).write_json().encode() for p in vault.unseal(where, path))
            elif path.suffix == ".parquet":
                data = pl.read_parquet(path).write_json().encode()
            found[str(path.relative_to(where.home))] = data
    return found


def found_marks(where: Tenant) -> list[tuple[str, bytes]]:
    return [(name, mark) for name, data in everything(where).items() for mark in MARKS if mark in data.lower()]


def counts(where: Tenant) -> list[dict[str, Any]]:
    return [
        receipt for name in ENTITIES for receipt in store.receipts(where, name) if receipt["file"] != "erasure.ndjson"
    ]


def test_a_person_is_gone_and_everything_adds_up(where: Tenant) -> None:
    send(where)
    run(where)
    assert {mark for _, mark in found_marks(where)} == set(MARKS)
    before, events = counts(where), where.lake.read("customer_events")
    done = erase(where, "c-1", now=NOW, by="tester")
    assert found_marks(where) == []
    assert done.customers == ["c-1"]
    assert {name for name, count in done.removed.items() if count} == set(erasure.COUNTS)
    run(where)
    assert found_marks(where) == []
    assert counts(where) == before
    assert where.lake.read("customer_events").equals(events)
    rows = where.lake.read("customers").sort("external_id")
    assert rows.select("external_id", "status", "has_email", "contact_hash", "birth_year", "language").rows() == [
        ("c-1", "erased", None, None, None, None),
        ("c-10", None, True, rows["contact_hash"][1], None, "fr"),
    ]
    past = where.lake.read("customers_history").filter(pl.col("external_id") == "c-1")
    kept = ["external_id", "updated_at", "status", "effective_from", "effective_to", "is_deleted", "version_hash"]
    assert all(column.null_count() == past.height > 1 for column in past.drop(kept).iter_columns())
    outs = (
        where.lake.read("opt_outs").sort("external_id").select("external_id", "customer_id", "contact_hash", "reason")
    )
    assert outs.rows() == [
        ("erasure:c-1", "c-1", None, "erasure"),
        ("o1", "c-1", None, "agent"),
        ("o2", "c-1", None, "agent"),
        ("o3", "c-1", None, "agent"),
        ("o4", None, outs["contact_hash"][4], "agent"),
    ]


def test_versions_that_become_equal_are_still_accounted_for(where: Tenant) -> None:
    twins = [customer(language="en"), customer(language="fr"), customer(language="de", consents=[{"channel": "sms"}])]
    land(where, "customers", [*twins, customer(external_id="c-2", op="delete")])
    land(where, "opt_outs", [opt_out("o-1", customer_id="c-1"), opt_out("o-2", customer_id="c-2")])
    publish_dimensions(where, SHOWN)
    erase(where, "c-1", now=NOW, by="tester")
    for name, rows in (("customers", 1), ("opt_outs", 3)):
        told = dimension_accounts.rows_accounted_for(name).run(where, [])
        assert told.passed, told.evidence
        assert told.evidence["rows"] == rows


def test_others_keep_what_they_had(where: Tenant) -> None:
    send(where)
    erase(where, "c-1", now=NOW, by="tester")
    kept = {name: data for name, data in everything(where).items() if b"bob@example.com" in data}
    folders = {Path(name).parts[2] for name in kept}
    assert {"raw", "customers", "quarantine", "opt_outs"} <= folders
    first = store.committed(where, "customers")
    zipped_name = next(r.batch_id for r in first if r.file == "z.ndjson.gz")
    assert b"".join(vault.unseal(where, sealed_raw(where, zipped_name)))[:2] == b"\x1f\x8b"
    waiting = quarantine.replay(where, "customers", received_at=NOW)
    assert [(each["tried"], each["moved"], each["left"]) for each in waiting] == [(2, 0, 2)]


def test_erasing_again_and_sending_the_old_file_again_bring_nobody_back(where: Tenant) -> None:
    send(where)
    erase(where, "c-1", now=NOW, by="tester")
    run(where)
    hashes = {name: logical_sha256(where.lake.read(name)) for name in ("customers", "opt_outs")}
    audit = erasure.audit_file(where).read_bytes()
    again = erase(where, "c-1", now=NOW, by="tester")
    assert (again.already, again.removed) == (True, {})
    assert erasure.audit_file(where).read_bytes() == audit
    send(where)
    # The same rows in another file, an older version, and an opt-out of the customer by contact.
    land(
        where,
        "customers",
        [customer(external_id="c-1", **ANN), customer(external_id="c-1", updated_at="2026-01-06T00:00:00Z", **ANN)],
    )
    land(where, "opt_outs", [opt_out("o1", customer_id="c-1", contact="ann.marked@example.com")])
    run(where)
    assert found_marks(where) == []
    assert {name: logical_sha256(where.lake.read(name)) for name in ("customers",)} == {
        "customers": hashes["customers"]
    }
    assert where.lake.read("opt_outs")["contact_hash"].drop_nulls().len() == 1


def test_a_later_upsert_is_a_new_fact_and_can_be_erased_again(where: Tenant) -> None:
    send(where)
    erase(where, "c-1", now=NOW, by="tester")
    land(where, "customers", [customer(external_id="c-1", updated_at="2026-03-02T00:00:00Z", **ANN)])
    run(where)
    assert where.lake.read("customers").filter(pl.col("external_id") == "c-1")["has_email"].to_list() == [True]
    assert not erase(where, "c-1", now=NOW, by="tester").already
    assert found_marks(where) == []


@pytest.mark.parametrize("op", ["upsert", "patch"])
def test_a_record_that_says_erased_does_the_same_in_any_order(where: Tenant, tmp_path: Path, op: str) -> None:
    old = customer(external_id="c-1", **ANN)
    other = customer(external_id="c-1", updated_at="2026-01-01T00:00:00Z", **ANN)
    gone = customer(external_id="c-1", updated_at="2026-02-01T00:00:00Z", status="erased", op=op, email=ANN["email"])
    hashes = set()
    for number, order in enumerate(itertools.permutations([old, other, gone])):
        tenant = make_workspace(tmp_path / str(number)).tenant("acme")
        for each in order:
            land(tenant, "customers", [each])
        assert found_marks(tenant) == []
        run(tenant)
        hashes.add(logical_sha256(tenant.lake.read("customers_history")))
    assert len(hashes) == 1


def test_an_erasure_that_came_as_a_record_waits_until_the_command_follows(where: Tenant) -> None:
    gone = customer(external_id="c-1", updated_at="2026-02-01T00:00:00Z", status="erased")
    land(where, "customers", [customer(external_id="c-1", **ANN), customer(external_id="c-10", **BOB)])
    assert erasures.erasures_finished(where, []).passed
    publish_dimensions(where, SHOWN)
    land(where, "customers", [gone])
    told = erasures.erasures_finished(where, [])
    assert (told.passed, told.evidence) == (False, {"waiting": 1, "run": "murmur erase --tenant acme c-1"})
    assert found_marks(where) != []
    done = erase(where, "c-1", now=NOW, by="tester")
    assert (done.already, found_marks(where)) == (True, [])
    assert erasures.erasures_finished(where, []).passed
    assert where.lake.read("opt_outs").select("customer_id", "reason").rows() == [("c-1", "erasure")]
    again = customer(external_id="c-1", updated_at="2026-02-03T00:00:00Z", status="erased")
    land(where, "customers", [again])
    assert erasures.unfinished(where) == ["c-1"]


def test_who_was_merged_is_one_person(where: Tenant) -> None:
    land(where, "customers", [customer(external_id="c-1", **ANN), customer(external_id="c-2", **ANN)])
    merged = customer(external_id="c-1", updated_at="2026-01-03T00:00:00Z", op="patch", merged_into="c-2")
    land(where, "customers", [merged, customer(external_id="c-10", **BOB)])
    run(where)
    merges = where.lake.read("customer_merges")
    assert erase(where, "c-2", now=NOW, by="tester").customers == ["c-1", "c-2"]
    assert found_marks(where) == []
    run(where)
    assert where.lake.read("customer_merges").equals(merges)
    assert where.lake.read("customers").filter(pl.col("has_email"))["external_id"].to_list() == ["c-10"]


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


def test_killed_at_any_write_and_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seal, rewrite = vault.seal, erasure.replacing
    for last in itertools.count():
        where = make_workspace(tmp_path / str(last)).tenant("acme")
        refused = customer(external_id="c-10", updated_at="never", email=ANN["email"])
        land(where, "customers", [customer(external_id="c-1", **ANN), customer(external_id="c-10", **BOB), refused])
        land(where, "opt_outs", [opt_out("o1", contact="ann.marked@example.com")])
        left = itertools.count(last, -1)

        def dying(call: Any, left: Any = left) -> Any:
            def run_once(*arguments: Any) -> Any:
                if next(left) == 0:
                    raise Killed
                return call(*arguments)

            return run_once

        monkeypatch.setattr(vault, "seal", dying(seal))
        monkeypatch.setattr(erasure, "replacing", dying(rewrite))
        try:
            erase(where, "c-1", now=NOW, by="tester")
            killed = False
        except Killed:
            killed = True
        monkeypatch.setattr(vault, "seal", seal)
        monkeypatch.setattr(erasure, "replacing", rewrite)
        erase(where, "c-1", now=NOW, by="tester")
        assert found_marks(where) == []
        if not killed:
            break
    assert last >= 7


def test_the_audit_names_no_person(where: Tenant) -> None:
    send(where)
    erase(where, "c-1", now=NOW, by="tester")
    lines = [json.loads(line) for line in erasure.audit_file(where).read_text().splitlines()]
    assert [sorted(line) for line in lines] == [
        ["at", "batch_id", "customers", "removed", "source"],
        ["at", "batch_id", "by", "customers"],
    ]


def test_an_unknown_customer_is_refused_with_a_reason(where: Tenant) -> None:
    with pytest.raises(UsageError, match="has no record of it; nothing was erased"):
        erase(where, "c-1", now=NOW, by="tester")


def test_the_command_prints_what_it_did(where: Tenant, tmp_path: Path) -> None:
    send(where)
    arguments = ["--home", str(where.home), "--tenants", str(where.folder.parent), "erase", "--tenant", "acme"]
    result = CliRunner().invoke(cli, [*arguments, "c-1", "--json"])
    done = json.loads(result.stdout)
    assert (done["customers"], done["already"], done["removed"]["opt_outs"]) == (["c-1"], False, 2)
    assert not sealed_quarantine(where, "customers", "none").exists()
    assert not any(sealed_personal(where, "customers", r.batch_id).exists() for r in store.committed(where, "customers")
        if r.file == "one.ndjson")  # fmt: skip
    assert "erased before" in CliRunner().invoke(cli, [*arguments, "c-1"]).stderr


@pytest.mark.parametrize("erased_before", [False, True])
def test_what_a_killed_ingest_left_goes_with_the_person(
    where: Tenant, monkeypatch: pytest.MonkeyPatch, erased_before: bool
) -> None:
    """Whoever is erased is in no file of a run that was killed a moment ago, sealed or split."""
    send(where)
    if erased_before:
        erase(where, "c-1", now=NOW, by="tester")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ingest, "create_bytes", killed)
        for entity, record in (
            ("customers", customer(external_id="c-1", updated_at="2026-01-07T00:00:00Z", **ANN)),
            ("customer_events", event(external_id="e-7", query="ask ann.marked@example.com")),
        ):
            with pytest.raises(KeyboardInterrupt):
                land(where, entity, [record, {**record, "external_id": ""}])
    assert found_marks(where)
    left = where.landing / "customers" / ".replay1x"
    left.mkdir()
    (left / "0.arrow").write_bytes(b"ann.marked")
    assert erase(where, "c-1", now=NOW, by="tester").already == erased_before
    assert found_marks(where) == []
    assert list(leftovers.sealed(where)) == list(leftovers.landed(where)) == []


def test_an_erasure_of_a_long_id_has_an_opt_out_of_its_own(where: Tenant) -> None:
    ids = [f"{'c' * 124}-{number}" for number in range(3)]
    land(where, "customers", [customer(external_id=each, email="ann@example.com") for each in ids])
    for each in ids:
        erase(where, each, now=NOW, by="tester")
    run(where)
    outs = where.lake.read("opt_outs").select("external_id", "customer_id")
    assert sorted(outs["customer_id"]) == ids
    assert outs["external_id"].n_unique() == 3
    assert outs["external_id"].str.len_chars().max() <= 128
    assert erasures.unfinished(where) == []
