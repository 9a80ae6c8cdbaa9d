from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select, update

from pipelines.config import Tenant
from pipelines.delivery import endpoints
from pipelines.delivery.deliver import Control
from pipelines.delivery.destinations import sync_destinations
from pipelines.delivery.instants import micros
from pipelines.delivery.signing import make_secret
from pipelines.errors import UsageError
from pipelines.storage.control import reading, writing
from pipelines.storage.control.tables import endpoints as table
from tests.delivery.receivers import NOON, SECRET, rows_of

NOW = micros(NOON)
TEXT = """
kind: webhook
url: https://example.com/hook
secret_env: HOOK_SECRET
events: [cohort.entered]
filters: {cart_total_value_minor: {gte: 20000}}
"""


def declare(tenant: Tenant, text: str = TEXT) -> Path:
    file = tenant.folder / "destinations" / "shop.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def sync(control: Control, tenant: Tenant, secret: str = SECRET, development: bool = False) -> endpoints.Endpoint:
    sync_destinations(control.engine, tenant, control.cipher, {"HOOK_SECRET": secret}, NOW, development=development)
    with reading(control.engine) as connection:
        (found,) = endpoints.listed(connection, tenant.id, ("active", "disabled", "deleted"))
    return found


def test_a_file_is_an_endpoint_and_stays_the_same_one(control: Control, tenant: Tenant) -> None:
    declare(tenant)
    first = sync(control, tenant)
    assert first.filters == {"cart_total_value_minor": {"gte": 20000}}
    assert sync(control, tenant) == first
    declare(tenant, TEXT.replace("/hook", "/moved") + "enabled: false\n")
    moved = sync(control, tenant)
    assert (moved.endpoint_id, moved.url, moved.state) == (first.endpoint_id, "https://example.com/moved", "disabled")
    declare(tenant)
    assert sync(control, tenant).state == "active"


def test_a_file_that_goes_takes_its_endpoint_with_it_and_brings_it_back(control: Control, tenant: Tenant) -> None:
    file = declare(tenant)
    sync(control, tenant)
    file.unlink()
    assert sync(control, tenant).state == "deleted"
    declare(tenant)
    assert sync(control, tenant).state == "active"


def test_another_secret_in_the_environment_rotates(control: Control, tenant: Tenant) -> None:
    declare(tenant)
    sync(control, tenant)
    sync(control, tenant, make_secret(bytes(32)))
    (row,) = rows_of(control, select(table))
    assert row["previous_secret"] is not None
    assert control.cipher.decrypt(row["previous_secret"], row["endpoint_id"]) == SECRET


def test_files_of_other_kinds_are_left_to_others(control: Control, tenant: Tenant) -> None:
    declare(tenant, "kind: slack\nwrite_key_env: X\n")
    assert sync_destinations(control.engine, tenant, control.cipher, {}, NOW, development=False) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT.replace("url:", "uri:"), "url"),
        (TEXT.replace("cohort.entered", "cohort.entred"), "cohort.entred"),
        (TEXT.replace("https", "http"), "https"),
        ("kind: webhook\n  url: [", "shop.yaml"),
        (TEXT.replace("HOOK_SECRET", "MISSING"), "MISSING"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_changes(control: Control, tenant: Tenant, text: str, message: str) -> None:
    declare(tenant, text)
    with pytest.raises(UsageError, match=message):
        sync(control, tenant)
    assert rows_of(control, select(table)) == []


def test_development_allows_a_receiver_of_ones_own(control: Control, tenant: Tenant) -> None:
    declare(tenant, TEXT.replace("https://example.com", "http://127.0.0.1:8787"))
    assert sync(control, tenant, development=True).allow_private


EVERYTHING = (
    TEXT
    + """
format: cloudevents
headers: {X-Source: murmuration}
headers_env: {Authorization: SHOP_TOKEN}
batch_max: 5
max_in_flight: 3
rate: 7
handshake: required
description: shop backend
"""
)


def test_a_file_says_everything_that_can_be_asked_for(control: Control, tenant: Tenant) -> None:
    declare(tenant, EVERYTHING)

    def synced(token: str) -> endpoints.Endpoint:
        environment = {"HOOK_SECRET": SECRET, "SHOP_TOKEN": token}
        sync_destinations(control.engine, tenant, control.cipher, environment, NOW, development=False)
        with reading(control.engine) as connection:
            (found,) = endpoints.listed(connection, tenant.id)
        return found

    def kept() -> str:
        (row,) = rows_of(control, select(table))
        return control.cipher.decrypt(row["headers"], row["endpoint_id"])

    found = synced("Bearer one")
    assert (found.batch_max, found.max_in_flight, found.rate, found.handshake) == (5, 3, 7, "required")
    assert found.header_names == ("Authorization", "X-Source")
    assert (found.state, found.disabled_because) == ("disabled", "handshake")
    assert "Bearer one" in kept()
    assert synced("Bearer two") == found
    assert "Bearer two" in kept()


def test_a_header_whose_variable_is_missing_is_said_without_a_value(control: Control, tenant: Tenant) -> None:
    declare(tenant, EVERYTHING)
    with pytest.raises(UsageError, match=r"headers_env.Authorization: the environment has no SHOP_TOKEN"):
        sync(control, tenant)
    assert rows_of(control, select(table)) == []


def test_what_the_receiver_allowed_outlives_the_file(control: Control, tenant: Tenant) -> None:
    declare(tenant, TEXT + "handshake: optional\nrate: 50\n")
    endpoint = sync(control, tenant)
    with writing(control.engine) as connection:
        own = table.c.endpoint_id == endpoint.endpoint_id
        connection.execute(update(table).where(own).values(rate=2, handshake_at=NOW, handshake_result="allowed"))
    assert sync(control, tenant).rate == 2
