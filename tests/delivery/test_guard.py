from __future__ import annotations

import socket

import pytest

from pipelines.delivery.guard import BlockedAddressError, check_url, is_public, public_socket
from pipelines.errors import UsageError

DANGEROUS = """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8
192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1 240.0.0.1
255.255.255.255 168.63.129.16
:: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1
100:0:0:1::1 2001::1 2001:db8::1 2002:7f00:1:: 2002:a9fe:a9fe:: 3fff::1 5f00::1 fc00::1 fd12:3456::1 fe80::1
fe80::1%eth0 fec0::1 ff02::1 nonsense
""".split()  # noqa: SIM905
PUBLIC = ["93.184.215.14", "1.1.1.1", "172.32.0.1", "192.0.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "2a00:1450::1"]


@pytest.mark.parametrize("address", DANGEROUS)
def test_what_is_not_the_public_internet_is_denied(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_the_public_internet_is_allowed(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("spelling", ["127.1", "0x7f.1", "2130706433", "0177.0.0.1"])
def test_other_spellings_of_the_loopback_address_are_stopped_at_the_socket(spelling: str) -> None:
    for info in socket.getaddrinfo(spelling, 443, type=socket.SOCK_STREAM):
        with pytest.raises(BlockedAddressError):
            public_socket(info)


def test_a_public_address_gets_a_socket() -> None:
    made = public_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("1.1.1.1", 443)))
    made.close()
    assert made.family == socket.AF_INET


REFUSED = [
    "http://example.com/hook",
    "https://user:password@example.com/hook",
    "https://user@example.com/hook",
    "https://example.com:22/hook",
    "https://example.com:99999/hook",
    "https://127.0.0.1/hook",
    "https://[::1]/hook",
    "https://[::ffff:10.0.0.1]/hook",
    "https:///hook",
    "https://exam ple.com/",
    "https://example.com/\r\nX: y",
    "ftp://example.com/",
    "file:///etc/passwd",
    "",
]


@pytest.mark.parametrize("url", REFUSED)
def test_a_url_that_may_not_be_sent_to_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        check_url(url, allow_private=False)
    assert "password" not in str(raised.value).replace("name or password", "")


@pytest.mark.parametrize("url", ["https://example.com/hook", "https://example.com:8443/a?b=c", "https://1.1.1.1/"])
def test_a_public_https_url_is_taken(url: str) -> None:
    check_url(url, allow_private=False)


def test_private_addresses_and_http_are_taken_where_allowed_and_user_names_never() -> None:
    check_url("http://127.0.0.1:8080/hook", allow_private=True)
    with pytest.raises(UsageError):
        check_url("http://user:x@127.0.0.1:8080/hook", allow_private=True)
