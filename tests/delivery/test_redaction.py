from __future__ import annotations

import pytest

from pipelines.delivery.redaction import bare_url, excerpt
from tests.delivery.receivers import SECRET


@pytest.mark.parametrize(
    "leak",
    [
        SECRET,
        "v1,oBtihxVEgxQPwQDRAE9Pfe9FI0sQyC43xu/xtY3glvk=",
        "5a266b34c95c089e426e37655b8eea4dc185cf77272660697c2ae7c50ca6ee7a",
        "jane.doe@example.com",
        "+44 7700 900123",
        "Bearer abc.def-ghi",
        "sk_live_value",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    ],
)
def test_secrets_and_contact_details_in_an_answer_are_not_kept(leak: str) -> None:
    body = f'{{"error": "no", "api_key": "{leak}", "also": "{leak}"}}' if leak.startswith("sk_") else f"error: {leak}."
    kept = excerpt(body.replace('"also": "sk_live_value"', '"also": 1').encode())
    assert leak not in kept
    assert "error" in kept


def test_a_long_answer_is_cut_to_one_kib_without_half_a_secret() -> None:
    kept = excerpt(b"x " * 507 + SECRET.encode() + b"y" * 90_000)
    assert len(kept.encode()) <= 1024
    assert "whsec" not in kept


def test_bytes_that_are_no_text_are_printable_and_short() -> None:
    kept = excerpt(b"\xff\x00\x1b[31m" * 1000)
    assert kept.isprintable()
    assert len(kept.encode()) <= 1024


def test_a_url_is_kept_without_user_query_and_fragment() -> None:
    assert bare_url("https://user:pw@example.com:8443/hook?token=abc#d") == "https://example.com:8443/hook"
