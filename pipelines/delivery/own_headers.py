"""Headers that an endpoint's owner adds to each request, such as ``Authorization``. Their values are secrets.

They are stored encrypted and shown nowhere; names that the contract of a request uses are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipelines.errors import UsageError

MOST = 20
LONGEST_VALUE = 4096
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
#: What HTTP and the client decide.
RESERVED = frozenset(
    {
        *("accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie", "date"),
        *("expect", "host", "idempotency-key", "keep-alive", "origin", "te", "trailer", "transfer-encoding", "upgrade"),
        *("user-agent", "via", "forwarded", "content-digest", "signature", "signature-input"),
    }
)
#: Signatures; and attributes of CloudEvents in binary mode, with which a reader would take the body for bare data.
RESERVED_PREFIXES = ("webhook-", "x-flock-", "ce-", "proxy-", "sec-", "x-forwarded-")


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse headers that cannot be sent or are not the owner's to set.

    Raises:
        UsageError: with the name; the value is never repeated.
    """
    if len(headers) > MOST:
        raise UsageError(f"{len(headers)} headers are more than the {MOST} that an endpoint may add")
    lowered = [name.lower() for name in headers]
    for name, value in headers.items():
        low = name.lower()
        if not _NAME.fullmatch(name):
            raise UsageError("the name of a header has letters, digits and -; give NAME: VALUE")
        if low in RESERVED or low.startswith(RESERVED_PREFIXES):
            raise UsageError(f"header {name!r} is reserved; choose another name")
        if lowered.count(low) > 1:
            raise UsageError(f"header {name!r} is given twice")
        if len(value) > LONGEST_VALUE or not _VALUE.fullmatch(value):
            raise UsageError(f"header {name!r}: its value is not printable ASCII of at most {LONGEST_VALUE} characters")
