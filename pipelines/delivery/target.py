"""What an endpoint says about the requests that it gets, as a claim carries it: secrets still encrypted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import RowMapping

from pipelines.delivery.formats import Manner
from pipelines.storage.control.cipher import Cipher

#: Columns of ``endpoints`` that a target is made from.
COLUMNS = (
    *("url", "mode", "allow_private", "secret", "previous_secret", "previous_until"),
    *("headers", "format", "batch_max", "settings"),
)


@dataclass(frozen=True)
class Target:
    """One endpoint."""

    endpoint_id: str
    url: str
    mode: str
    allow_private: bool
    secret: str
    previous_secret: str | None
    previous_until: int | None
    headers: str | None
    manner: Manner
    settings: str = "{}"

    @classmethod
    def of(cls, row: RowMapping) -> Target:
        """The target of a row of ``endpoints``."""
        return cls(
            row["endpoint_id"],
            row["url"],
            row["mode"],
            row["allow_private"],
            row["secret"],
            row["previous_secret"],
            row["previous_until"],
            row["headers"],
            Manner(row["format"], row["batch_max"]),
            row["settings"],
        )


def secrets_of(cipher: Cipher, target: Target, at: int) -> list[str]:
    """Secrets that are live at an instant, the newest first.

    Raises:
        MurmurError: one does not open.
    """
    found = [opened(cipher, target.secret, target.endpoint_id)]
    if target.previous_secret and target.previous_until and at < target.previous_until:
        found.append(opened(cipher, target.previous_secret, target.endpoint_id))
    return found


@lru_cache(maxsize=4096)
def opened(cipher: Cipher, stored: str, owner: str) -> str:
    """A stored secret of an endpoint, remembered.

    Raises:
        MurmurError: it does not open with this key.
    """
    return cipher.decrypt(stored, owner)
