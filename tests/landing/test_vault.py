"""Nothing personal lies outside the vault, and nothing inside it can be read without the key."""

from __future__ import annotations

import base64
import io
import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines.errors import MurmurError, UsageError
from pipelines.landing import ingest, personal, retention, vault
from pipelines.landing.layout import replay_file, sealed_personal, sealed_quarantine, sealed_raw
from pipelines.storage.durable import write_bytes
from tests.landing.support import NOW, customer, land, ndjson, parquet, row, rows, tenant, zipped

MARKED = {
    "email": "marked.person@example.com",
    "phone": "+44 7700 900123",
    "first_name": "Markedfirst",
    "last_name": "Markedlast",
    "birth_date": "1987-06-05",
    "gender": "markedgender",
    "loyalty_card_number": "MARKED-CARD-77",
    "address": {"line1": "1 Marked Street", "city": "Markedtown", "postal_code": "SW1A 1AA", "country": "GB"},
    "a_field_nobody_declared": "marked-undeclared",
}
MARKS = [
    b"marked.person", b"900123", b"Markedfirst", b"Markedlast", b"1987-06-05", b"markedgender", b"MARKED-CARD",
    b"Marked Street", b"Markedtown", b"1AA", b"marked-undeclared",
]  # fmt: skip

NOTHING = {"raw": 0, "quarantine": 0, "bytes": 0, "waiting": 0, "abandoned": 0}


def everything_under(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "name", ["rows.ndjson", "rows.json", "rows.csv", "rows.parquet", "rows.ndjson.gz", "broken.json"]
)
def test_no_marked_value_is_in_clear_anywhere(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    where = tenant(tmp_path)
    good, refused = customer(**MARKED), customer(**MARKED, updated_at="never", tags="marked.person@example.com")
    flat = [{k: json.dumps(v) if isinstance(v, dict) else v for k, v in r.items()} for r in (good, refused)]
    body = {
        "rows.ndjson": ndjson([good, refused, json.dumps(good)[:-5]]),
        "rows.json": json.dumps([good, refused]).encode(),
        "rows.csv": pl.DataFrame(flat).write_csv().encode() + b"marked.person@example.com,too,few\n",
        "rows.parquet": parquet(flat),
        "rows.ndjson.gz": zipped(ndjson([good, refused])),
        "broken.json": json.dumps([good, refused]).encode()[:-40],
    }[name]
    receipt = land(where, "customers", body, name)
    assert receipt.accepted == 1
    assert receipt.quarantined >= 1
    written = everything_under(tmp_path)
    assert sealed_personal(where, "customers", receipt.batch_id) in written
    written[Path("output")] = "".join(capfd.readouterr()).encode()
    found = [(path.name, mark) for path, data in written.items() for mark in MARKS if mark in data]
    assert found == []
    splits = [pl.read_parquet(path).write_json().encode() for path in written if path.suffix == ".parquet"]
    assert [mark for data in splits for mark in MARKS if mark in data] == []


def test_facts_about_a_person_stay(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    land(where, "customers", [customer(**MARKED)])
    found = row(where, "customers")
    key = vault.derived_key(where, "contact")
    assert found["contact_hash"] == vault.contact_hash(key, "marked.person@example.com")
    assert (found["has_email"], found["has_phone"], found["birth_year"]) == (True, True, 1987)
    assert (found["postal_district"], found["country"]) == ("SW1A", "GB")


def test_an_opt_out_finds_the_customer_by_the_hash_of_the_contact(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    land(where, "customers", [customer(email=" Ann@Example.com ")])
    opt_out = {"external_id": "o", "contact": "ann@example.COM", "channel": "email", "scope": "all"}
    land(
        where,
        "opt_outs",
        [{**opt_out, "action": "opt_out", "reason": "agent", "occurred_at": "2026-01-01T00:00:00Z"}],
    )
    assert row(where, "opt_outs")["contact_hash"] == row(where, "customers")["contact_hash"]
    other = tenant(tmp_path / "other")
    land(other, "customers", [customer(email="ann@example.com")])
    assert row(other, "customers")["contact_hash"] != row(where, "customers")["contact_hash"]


@pytest.mark.parametrize("contact", ["Ann@example.com", "+44 7700 900123", "07700 900123", "0044 7700 900123"])
@pytest.mark.parametrize("phone", ["+447700900123", "07700900123"])
def test_an_opt_out_finds_the_customer_by_either_contact(tmp_path: Path, contact: str, phone: str) -> None:
    where = tenant(tmp_path)
    land(where, "customers", [customer(email="ann@example.com", phone=phone), customer(external_id="c-2")])
    opt_out = {"external_id": "o", "contact": contact, "channel": "all", "scope": "all", "action": "opt_out"}
    land(where, "opt_outs", [{**opt_out, "reason": "stop_keyword", "occurred_at": "2026-01-03T00:00:00Z"}])
    named, empty = rows(where, "customers")
    wanted = row(where, "opt_outs")["contact_hash"]
    assert wanted == named["contact_hash" if "@" in contact else "phone_hash"]
    assert named["contact_hash"] != named["phone_hash"]
    assert empty["contact_hash"] is None
    assert empty["phone_hash"] is None


def test_a_patch_of_one_contact_leaves_the_hash_of_the_other(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    land(where, "customers", [customer(op="patch", phone="+447700900123"), customer(op="patch", email=None)])
    fields = {frozenset(json.loads(each["patch_fields"])) for each in rows(where, "customers")}
    assert fields == {
        frozenset({"has_phone", "phone_hash", "updated_at"}),
        frozenset({"has_email", "contact_hash", "updated_at"}),
    }


def test_phones_and_postal_codes_are_normalised() -> None:
    assert personal.normalised_contact("07700 900123", "GB") == "+447700900123"
    assert personal.normalised_contact("07700 900123") == "07700900123"
    assert personal.normalised_contact("12", "GB") == "12"
    assert personal.normalised_contact("0044 (7700) 900-123") == "+447700900123"
    assert personal.normalised_contact("+44 7700 900123") == "+447700900123"
    assert [personal.postal_district(c) for c in ("ec1a1bb", "M1 1AE", "90210-1234", " ")] == [
        "EC1A",
        "M1",
        "902",
        None,
    ]


def test_what_was_received_comes_back_from_the_vault(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    body = ndjson([customer(**MARKED)])
    batch_id = land(where, "customers", body).batch_id
    assert b"".join(vault.unseal(where, sealed_raw(where, batch_id))) == body
    people = pl.read_ipc(io.BytesIO(b"".join(vault.unseal(where, sealed_personal(where, "customers", batch_id)))))
    assert people.select("line_no", "external_id", "email").rows() == [(1, "c-1", "marked.person@example.com")]


def test_a_sealed_file_cannot_be_cut_changed_renamed_or_opened_with_another_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = tenant(tmp_path)
    path = tmp_path / "a" / "x.enc"
    vault.seal(where, path, [b"one", b"two"])
    assert list(vault.unseal(where, path)) == [b"one", b"two"]
    sealed = path.read_bytes()
    for damaged in (sealed[:-1], sealed[: len(sealed) // 2], b"x" + sealed, sealed[:-1] + bytes([sealed[-1] ^ 1])):
        path.write_bytes(damaged)
        with pytest.raises(MurmurError, match="cannot be opened"):
            list(vault.unseal(where, path))
    renamed = path.with_name("y.enc")
    renamed.write_bytes(sealed)
    with pytest.raises(MurmurError, match="cannot be opened"):
        list(vault.unseal(where, renamed))
    path.write_bytes(sealed)
    monkeypatch.setenv(vault.KEY_VARIABLE, encoded(b"k"))
    with pytest.raises(UsageError, match="MURMUR_VAULT_KEY: is not the key that the vault of tenant demo was sealed"):
        list(vault.unseal(where, path))


def encoded(byte: bytes) -> str:
    return base64.b64encode(byte * 32).decode()


def test_the_key_comes_from_the_environment_or_a_private_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tenant(tmp_path)
    (made,) = vault.vault_keys(where)
    assert vault.vault_keys(where) == [made]
    assert (where.vault / "key").stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv(vault.KEY_VARIABLE, "c2hvcnQ=")
    with pytest.raises(UsageError, match="is not base64 of 32 bytes"):
        vault.vault_keys(where)


def test_where_a_made_key_lies_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    where = tenant(tmp_path)
    for number in range(2):
        land(where, "customers", [customer(external_id=f"c-{number}")])
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(where.vault / "key") in caplog.text


@pytest.mark.parametrize("begun", [False, True])
def test_a_tenant_may_require_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bool) -> None:
    where = tenant(tmp_path)
    if begun:
        land(where, "customers", [customer()])
    strict = replace(where, config=where.config.model_copy(update={"vault_key": "required"}))
    before = everything_under(tmp_path)
    with pytest.raises(UsageError, match=r"^MURMUR_VAULT_KEY: is not set, and tenant demo requires it \(vault_key of"):
        land(strict, "customers", [customer(external_id="c-2")])
    assert everything_under(tmp_path) == before
    made = base64.b64encode((where.vault / "key").read_bytes()).decode() if begun else encoded(b"a")
    monkeypatch.setenv(vault.KEY_VARIABLE, made)
    assert land(strict, "customers", [customer(external_id="c-2")]).accepted == 1


def test_without_its_key_or_with_another_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tenant(tmp_path)
    monkeypatch.setenv(vault.KEY_VARIABLE, encoded(b"a"))
    land(where, "customers", [customer(**MARKED)])
    before = everything_under(tmp_path)
    for value, said in (("", "MURMUR_VAULT_KEY: is not set"), (encoded(b"b"), "is not the key that the vault of")):
        monkeypatch.setenv(vault.KEY_VARIABLE, value)
        with pytest.raises(UsageError, match=said):
            land(where, "customers", [customer(email="ann@example.com")])
    assert everything_under(tmp_path) == before


def test_a_vault_in_a_root_of_its_own_needs_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MURMUR_VAULT", str(tmp_path / "apart"))
    where = tenant(tmp_path / "home")
    with pytest.raises(UsageError, match="MURMUR_VAULT_KEY: is not set"):
        land(where, "customers", [customer(**MARKED)])
    monkeypatch.setenv(vault.KEY_VARIABLE, encoded(b"a"))
    land(where, "customers", [customer(**MARKED)])
    sealed = [path for path in everything_under(tmp_path) if path.suffix == ".enc"]
    assert sealed and all(path.is_relative_to(tmp_path / "apart" / "demo") for path in sealed)
    assert {path.stat().st_mode & 0o777 for path in sealed} == {0o600}


def test_a_new_key_goes_before_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tenant(tmp_path)
    monkeypatch.setenv(vault.KEY_VARIABLE, encoded(b"a"))
    first = land(where, "customers", [customer(email="ann@example.com")]).batch_id
    monkeypatch.setenv(vault.KEY_VARIABLE, f"{encoded(b'b')},{encoded(b'a')}")
    second = land(where, "customers", [customer(external_id="c-2", email="ann@example.com")]).batch_id
    assert all(b"".join(vault.unseal(where, sealed_raw(where, batch))) for batch in (first, second))
    assert len({found["contact_hash"] for found in rows(where, "customers")}) == 1
    monkeypatch.setenv(vault.KEY_VARIABLE, encoded(b"a"))
    with pytest.raises(MurmurError, match="cannot be opened"):
        list(vault.unseal(where, sealed_raw(where, second)))


def test_received_bytes_are_kept_for_a_set_time_and_waiting_rows_until_they_are_resolved(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    good, bad = land(where, "customers", [customer(**MARKED)]), land(where, "customers", [customer(updated_at="never")])
    just = NOW + timedelta(days=where.config.raw_retention_days)
    assert retention.purge(where, just - timedelta(seconds=1)) == NOTHING
    done = retention.purge(where, just)
    assert (done["raw"], done["quarantine"], done["waiting"]) == (2, 0, 1)
    assert not sealed_raw(where, good.batch_id).exists()
    assert sealed_personal(where, "customers", good.batch_id).exists()
    assert sealed_quarantine(where, "customers", bad.batch_id).exists()
    write_bytes(replay_file(where, "customers", bad.batch_id), b'{"moved":[1],"moved_to":null}')
    assert retention.purge(where, just)["quarantine"] == 1
    assert retention.purge(where, just) == NOTHING
    assert land(where, "customers", [customer(**MARKED)]).known


def test_what_a_killed_run_left_in_the_vault_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tenant(tmp_path)
    land(where, "customers", [customer(external_id="c-1", email="ann@example.com"), customer(updated_at="never")])
    kept = sorted(path for path in where.vault.rglob("*") if path.is_file())

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ingest, "create_bytes", killed)
        land(where, "customers", [customer(external_id="c-2", email="bob@example.com"), customer(updated_at="no")])
    (where.vault / "raw" / ".0a.enc.0b.tmp").write_bytes(b"sealed")
    for path in where.vault.rglob("*"):
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    assert retention.purge(where, NOW + timedelta(hours=23)) == NOTHING
    assert retention.purge(where, NOW + timedelta(hours=25))["abandoned"] == 4
    assert sorted(path for path in where.vault.rglob("*") if path.is_file()) == kept
