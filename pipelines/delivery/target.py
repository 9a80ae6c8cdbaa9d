"""What an endpoint says about the requests that it gets, as a claim carries it: secrets still encrypted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import RowMapping

from pipelines.storage.control.cipher import Cipher


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
        )


def secrets_of(cipher: Cipher, target: Target, at: int) -> list[str]:
    """Secrets that are live at an instant, the newest first.

    Raises:
        MurmurError: one does not open.
    """
    found = [_opened(cipher, target.secret, target.endpoint_id)]
    if target.previous_secret and target.previous_until and at < target.previous_until:
        found.append(_opened(cipher, target.previous_secret, target.endpoint_id))
    return found


@lru_cache(maxsize=4096)
def _opened(cipher: Cipher, stored: str, owner: str) -> str:
    return cipher.decrypt(stored, owner)
