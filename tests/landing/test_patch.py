"""A patch names fields: absent means unchanged, null means clear, and both survive landing."""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.landing import store
from tests.landing.support import counts, customer, event, land, parquet, reasons, row, tenant


def named(where_row: dict[str, object]) -> list[str]:
    return list(json.loads(str(where_row["patch_fields"])))


def test_absent_is_kept_apart_from_null(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    land(where, "customers", [customer(op="patch", language=None, tags=["a"], unheard_of=1, timezone="Europe/Paris")])
    found = row(where, "customers")
    assert named(found) == ["language", "tags", "updated_at"]
    assert (found["language"], found["tags"], found["has_email"]) == (None, '["a"]', None)


def test_a_patch_of_personal_fields_names_what_is_derived_from_them(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    land(where, "customers", [customer(op="patch", email=None, address={"postal_code": "M1 1AE"})])
    found = row(where, "customers")
    assert named(found) == ["contact_hash", "has_email", "postal_district", "updated_at"]
    assert (found["has_email"], found["has_phone"], found["postal_district"]) == (False, None, "M1")


def test_a_patch_and_a_tombstone_need_only_id_and_instant(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    rest = {"event_name": ..., "flockr_vid": ...}
    receipt = land(
        where,
        "customer_events",
        [
            event(op="patch", **rest),
            event(external_id="e-2", op="delete", **rest),
            event(op="patch", occurred_at=..., **rest),
            event(external_id=..., op="delete", **rest),
        ],
    )
    assert counts(receipt) == (4, 2, 0, 0, 2)
    assert reasons(where, "customer_events") == {3: "missing_required:occurred_at", 4: "missing_required:external_id"}


def test_a_tombstone_that_does_not_say_when_belongs_to_the_day_of_its_own_instant(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    land(where, "transactions", [{"external_id": "t", "op": "delete", "updated_at": "2026-01-05T12:00:00Z"}])
    assert str(row(where, "transactions")["date"]) == "2026-01-05"


def test_in_csv_an_empty_cell_is_absent_and_a_quoted_one_clears(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    body = 'external_id,op,updated_at,language,country,status\nc-1,patch,2026-01-02T10:00:00Z,,"",""\n'
    land(where, "customers", body.encode(), "patch.csv")
    found = row(where, "customers")
    assert named(found) == ["country", "status", "updated_at"]
    assert (found["country"], found["status"]) == (None, None)


def test_in_parquet_null_is_absent(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    land(where, "customers", parquet([customer(op="patch", language=None, country="GB")]), "patch.parquet")
    assert named(row(where, "customers")) == ["country", "updated_at"]


def test_patches_that_name_other_fields_are_other_versions(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    patches = [customer(op="patch", language=None), customer(op="patch", country=None)]
    assert land(where, "customers", patches).duplicate == 0
    assert store.scan(where, "customers").collect().height == 2
