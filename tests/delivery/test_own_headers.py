from __future__ import annotations

import pytest
from sqlalchemy import select

from pipelines.delivery.deliver import Control
from pipelines.delivery.own_headers import check_headers
from pipelines.errors import UsageError
from pipelines.storage.control.tables import endpoints
from tests.delivery.receivers import add_endpoint, rows_of


def test_usual_headers_are_taken() -> None:
    check_headers({"Authorization": "Bearer abc.def", "X-Source": "murmuration", "X-A": "1"})


@pytest.mark.parametrize(
    "name",
    [
        *("webhook-id", "Webhook-Signature", "X-Flock-Signature", "Idempotency-Key", "Content-Type", "content-length"),
        *("ce-id", "CE-Type", "Host", "Transfer-Encoding", "Connection", "Cookie", "Proxy-Authorization"),
    ],
)
def test_reserved_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="reserved"):
        check_headers({name: "x"})


@pytest.mark.parametrize(
    "headers",
    [
        {"X Space": "v"},
        {"": "v"},
        {"X-Split": "v\r\nX-Other: 1"},
        {"X-Null": "v\x00"},
        {"X-Wide": "é"},
        {"X-Empty": ""},
        {"X-Long": "v" * 4097},
        {"X-Twice": "1", "x-twice": "2"},
        {f"X-{number}": "v" for number in range(21)},
    ],
)
def test_what_cannot_be_sent_is_refused_without_its_value(headers: dict[str, str]) -> None:
    with pytest.raises(UsageError) as raised:
        check_headers(headers)
    assert "X-Other" not in str(raised.value)


def test_values_are_encrypted_at_rest_and_only_names_are_shown(control: Control) -> None:
    endpoint = add_endpoint(control, "http://127.0.0.1:9/", headers={"Authorization": "Bearer of-mine"})
    assert endpoint.header_names == ("Authorization",)
    assert "of-mine" not in repr(endpoint)
    (row,) = rows_of(control, select(endpoints))
    assert "of-mine" not in repr(row)
    assert "of-mine" in control.cipher.decrypt(row["headers"], "ep_one")


@pytest.mark.parametrize(
    "wish",
    [
        {"format": "xml"},
        {"mode": "later"},
        {"handshake": "maybe"},
        {"batch_max": 0},
        {"batch_max": 101},
        {"max_in_flight": 0},
        {"max_in_flight": 257},
        {"format": "flock", "batch_max": 2},
        {"headers": {"Host": "x"}},
    ],
)
def test_settings_outside_their_range_make_no_endpoint(control: Control, wish: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        add_endpoint(control, "http://127.0.0.1:9/", **wish)
    assert rows_of(control, select(endpoints)) == []
