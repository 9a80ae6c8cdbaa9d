"""What of a receiver's answer, or of a URL, may be kept in the ledger."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import urlsplit, urlunsplit

EXCERPT_BYTES = 1024
_HIDDEN = "[redacted]"

_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        r"whsec_[A-Za-z0-9+/_=-]*",
        r"v1,[A-Za-z0-9+/=]{16,}",
        r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9._~+/=-]+",
        r"(?i)[\w-]*(?:secret|token|password|passwd|api[_-]?key|authorization|cookie|signature)[\w-]*"
        r"[\"']?\s*[:=]\s*[\"']?[^\s\"',;&}]+",
        r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}",
        r"\b[0-9a-fA-F]{64}\b",
        r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
        r"\+\d[\d ().-]{7,}\d",
    )
)


def excerpt(body: bytes) -> str:
    """The first 1 KiB of an answer as printable text, without what looks like a secret or contact details.

    Redacted before it is cut, so that the cut leaves no half of a secret behind.
    """
    text = body[: 4 * EXCERPT_BYTES].decode("utf-8", "replace")
    for pattern in _PATTERNS:
        text = pattern.sub(_HIDDEN, text)
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable.encode()[:EXCERPT_BYTES].decode("utf-8", "ignore")


@lru_cache(maxsize=4096)
def bare_url(url: str) -> str:
    """A URL without user, query and fragment, which may hold tokens."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rsplit("@", 1)[-1], parts.path, "", ""))
