"""The manifest of a revision: what it holds, from which inputs, and what changed. It holds no clock reading."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from pipelines.errors import MurmurError

Reason = Literal["initial", "late_data", "definition", "schema", "manual"]


class ManifestError(MurmurError):
    """A manifest cannot be read: it is not JSON, or a field is missing."""


@dataclass(frozen=True)
class FileEntry:
    """One data file of a revision.

    Attributes:
        path: key below the export root; the immutable object of the revision, never its copy.
        bytes: size.
        rows: rows without the header.
        sha256: of the bytes.
        min_key: primary key of the first row as text, in key order; None when there is no row.
        max_key: primary key of the last row.
    """

    path: str
    bytes: int
    rows: int
    sha256: str
    min_key: list[str | None] | None
    max_key: list[str | None] | None

    @property
    def name(self) -> str:
        """File name, by which the copy beside the manifest is found."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Manifest:
    """Fields of ``_manifest.json``; see docs/exports.md for their meaning."""

    dataset: str
    date: str
    revision: int
    supersedes: int | None
    reason: Reason
    schema: dict[str, str]
    timezone: str
    window_start: str
    window_end: str
    as_of: str
    files: list[FileEntry]
    row_count: int
    logical_sha256: str
    unresolved: dict[str, int] = field(default_factory=dict)
    completeness: float = 1.0
    inputs: list[dict[str, str | None]] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, UTF-8."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """Read a manifest; unknown fields of a later minor version are left aside.

        Raises:
            ManifestError: it is not JSON or lacks a field.
        """
        try:
            fields = json.loads(data)
            known = {name: fields[name] for name in cls.__dataclass_fields__}
            names = FileEntry.__dataclass_fields__
            known["files"] = [FileEntry(**{name: entry[name] for name in names}) for entry in fields["files"]]
            return cls(**known)
        except (ValueError, KeyError, TypeError) as error:
            raise ManifestError(f"the manifest cannot be read: {type(error).__name__} {error}") from None


def rfc3339(instant: datetime) -> str:
    """An instant in UTC, seconds and only where needed microseconds, with ``Z``."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
