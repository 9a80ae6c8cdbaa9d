"""What is a contact detail and what only looks like one. All people and numbers are made up."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config import Tenant, TenantConfig
from pipelines.landing.contacts import country_of, masked, suspicious

FOUND = {
    "jane@example.com": "[email]",
    "write to Jane.Doe+x@mail.example.co.uk, please": "write to [email], please",
    '"jane doe"@example.com': "[email]",
    "jané@exämple.com": "[email]",
    "jane\uff20example.com": "[email]",
    "?from=jane%40example.com&b=1": "?from=[email]&b=1",
    "jane%2540example.com": "[email]",
    "%2F@example.com": "[email]",
    "a@example.com;b@example.com": "[email];[email]",
    "+44 7700 900123": "[phone]",
    "+447700900123": "[phone]",
    "\uff0b44 7700 900123": "[phone]",
    "+44(0)7700 900123": "[phone]",
    "+44770090012345678": "[phone]",
    "0044 7700 900123": "[phone]",
    "00447700900123": "[phone]",
    "447700900123": "[phone]",
    "44 7700 900123": "[phone]",
    "07700 900123": "[phone]",
    "0770 090 0123": "[phone]",
    "(07700) 900-123": "[phone]",
    "07700-900-123": "[phone]",
    "ring 07700900123, soon": "ring [phone], soon",
    "020 7946 0018": "[phone]",
    "+33 6 12 34 56 78 or +1 (212) 555-0123": "[phone] or [phone]",
    "?tel=%2B447700900123": "?tel=[phone]",
    "?tel=07700+900+123": "?tel=[phone]",
    "4111 1111 1111 1111": "[card]",
    "378282246310005": "[card]",
    "GB29 NWBK 6016 1331 9268 19": "[iban]",
    "NL91ABNA0417164300": "[iban]",
}
LEFT = [
    "00123", "5012345678900", "50123457", "012345678905", "00012345678905", "9780747532743", "978-0-7475-3274-3",
    "0747532745", "SKU-07700900123", "ord_07700900123", "#07700900123", "A0123456789B", "12345678901",
    "1234567890123456", "4111111111111112", "GB28NWBK60161331926819", "1700000000000000", "20260102100000",
    "2026-01-02T10:00:00.123456Z", "01.02.2024 10:30", "02/01/2026 - 09/01/2026", "0.1277583011", "51.5074, -0.1277",
    "£1,234.56", "10.000.000", "2@5.99", "@handle", "logo@2x.png", "+10%", "C++ 20", "100+200", "size 38-40 42/44",
    "d41d8cd98f00b204e9800998ecf8427e", "2 for 10", "",
]  # fmt: skip


@pytest.mark.parametrize("text", FOUND)
def test_contact_details_are_found_in_every_spelling(text):
    assert masked(text, "GB") == FOUND[text]
    assert masked(FOUND[text], "GB") == FOUND[text]
    assert re.search(suspicious("GB", code=False), text)


@pytest.mark.parametrize("text", LEFT)
def test_codes_dates_and_prices_are_left(text):
    assert masked(text, "GB") == text


@given(st.uuids(), st.integers(0, 10**12 - 1))
def test_no_uuid_and_no_ean_is_a_phone_number(made: uuid.UUID, digits: int):
    twelve = f"{digits:012}"
    check = -sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(twelve)) % 10
    for text in (str(made), made.hex, f"{twelve}{check}", f"pot {twelve}{check} blue"):
        assert masked(text, "GB") == text


@pytest.mark.parametrize("region", ["GB", "US", "ES", "DE", None])
@given(text=st.text(st.sampled_from("0123456789+-() .@%4aZ\uff20x/="), max_size=24))
def test_the_quick_look_is_never_too_narrow(region, text):
    shown = masked(text, region)
    assert shown == text or re.search(suspicious(region, code=False), text)
    assert masked(shown, region) == shown


def test_in_codes_and_ids_only_addresses_and_numbers_with_a_plus_count():
    for text in ("07700900123", "07700 900123", "4111111111111111", "NL91ABNA0417164300", "00447700900123"):
        assert masked(text, "GB", code=True) == text
    assert masked("c:jane@example.com", "GB", code=True) == "c:[email]"
    assert masked("+447700900123", "GB", code=True) == "[phone]"


@pytest.mark.parametrize(
    ("text", "region", "found"),
    [
        ("(212) 456-7890", "US", True),
        ("212-456-7890", "US", True),
        ("2124567890", "US", False),
        ("612 345 678", "ES", True),
        ("0176 12345678", "DE", True),
        ("06 12 34 56 78", "FR", True),
        ("07700 900123", None, False),
    ],
)
def test_national_numbers_are_those_of_the_tenants_country(text, region, found):
    assert (masked(text, region) == "[phone]") is found


def test_the_country_is_the_configured_one_or_that_of_the_zone(tmp_path):
    def where(**settings):
        return country_of(Tenant(TenantConfig(id="t", **settings), tmp_path, tmp_path))

    assert where(timezone="Europe/London") == "GB"
    assert where(timezone="UTC") is None
    assert where(timezone="UTC", country="FR") == "FR"
