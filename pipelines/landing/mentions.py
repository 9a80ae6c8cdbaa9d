"""Rows in the vault that mention a person: received bytes and refused rows, as they were sent.

Received NDJSON is rewritten without the person's lines. Any other received file that mentions the person is removed
whole: nothing reads it but people, and what was accepted of it stays in landing.
"""

from __future__ import annotations

import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa

from pipelines.config import Tenant
from pipelines.landing import layout, vault
from pipelines.landing.refusals import FileRefusedError
from pipelines.landing.source import READ_BYTES, format_of, payload_of_bytes
from schemas.entities import ENTITIES

#: Of a phone number: the digits that any way to write it ends in, and what may stand between them.
_LAST_DIGITS = 9
_GAP = rb"[ ().\-/]{0,3}"
_SEPARATORS = re.compile(r"[^\w.:/@+-]+")
#: Shorter texts stand in too many rows that have nothing to do with the person.
_TELLING = 6


@dataclass(frozen=True)
class Mentions:
    """How people are recognised.

    Attributes:
        ids: customer ids.
        contacts: matches contact details, card numbers and street lines; None without any.
        hashes: keyed hashes of their contacts.
    """

    ids: frozenset[str]
    contacts: re.Pattern[bytes] | None
    hashes: frozenset[str]

    def names(self, line: bytes) -> bool:
        """Whether the line has one of the ids as a whole value."""
        if not any(each.encode() in line or json.dumps(each)[1:-1].encode() in line for each in self.ids):
            return False
        with suppress(ValueError, RecursionError):
            return not self.ids.isdisjoint(_strings(json.loads(line)))
        return not self.ids.isdisjoint(part.strip() for part in _SEPARATORS.split(line.decode(errors="replace")))

    def within(self, line: bytes, personal: bool) -> bool:
        """Whether the line mentions one of the people.

        Args:
            line: a row as received.
            personal: rows of its kind have personal fields, so that an id is enough.
        """
        return bool(self.contacts and self.contacts.search(line)) or (personal and self.names(line))


def mentions(ids: set[str], emails: set[str], phones: set[str], records: pl.DataFrame, hashes: set[str]) -> Mentions:
    """How to recognise people by what the vault knows of them.

    Args:
        ids: customer ids.
        emails: normalised addresses.
        phones: normalised numbers.
        records: their sealed personal fields.
        hashes: keyed hashes of their contacts.
    """
    texts = {*emails}
    for name in ("email", "phone", "loyalty_card_number"):
        texts.update(records[name].drop_nulls() if name in records.columns else ())
    if "address" in records.columns:
        texts.update(str(json.loads(text).get("line1") or "") for text in records["address"].drop_nulls())
    written = {form for text in texts if len(text) >= _TELLING for form in (text, json.dumps(text)[1:-1])}
    parts = [re.escape(text.encode()) for text in sorted(written)]
    for phone in sorted(phones):
        digits = re.sub(r"\D", "", phone)[-_LAST_DIGITS:]
        parts += [_GAP.join(digit.encode() for digit in digits)] if len(digits) == _LAST_DIGITS else []
    contacts = re.compile(b"|".join(parts), re.IGNORECASE) if parts else None
    return Mentions(frozenset(ids), contacts, frozenset(hashes))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
    elif value is not None:
        yield str(value)


def without_mentions(tenant: Tenant, entity: str, batch_id: str, file: str, known: Mentions) -> Counter[str]:
    """Remove people from the received bytes and the refused rows of one batch; what was removed, by name."""
    personal = bool(ENTITIES[entity].personal)
    removed: Counter[str] = Counter()
    refused = layout.sealed_quarantine(tenant, entity, batch_id)
    if refused.exists():
        lines = b"".join(vault.unseal(tenant, refused)).split(b"\n")
        kept = [line for line in lines if line and not known.within(_raw_of(line), personal)]
        removed["refused_rows"] = sum(1 for line in lines if line) - len(kept)
        if removed["refused_rows"]:
            vault.seal(tenant, refused, [b"".join(line + b"\n" for line in kept)])
    raw = layout.sealed_raw(tenant, batch_id)
    if raw.exists():
        content = _without(tenant, entity, batch_id, file, b"".join(vault.unseal(tenant, raw)), known)
        if content is None:
            raw.unlink()
            removed["raw_files_removed"] = 1
        elif content:
            vault.seal(tenant, raw, (content[at : at + READ_BYTES] for at in range(0, len(content), READ_BYTES)))
            removed["raw_files_rewritten"] = 1
    return removed


def _raw_of(line: bytes) -> bytes:
    return str(json.loads(line)["raw"]).encode("utf-8", "surrogatepass")


def _without(tenant: Tenant, entity: str, batch_id: str, file: str, data: bytes, known: Mentions) -> bytes | None:
    """The received bytes without the people; empty when they are not in it, None when it has to go as a whole."""
    form, compression = format_of(file)
    personal = bool(ENTITIES[entity].personal)
    if form == "parquet":
        return None if _parquet_mentions(tenant, entity, batch_id, known) else b""
    try:
        plain = payload_of_bytes(data, file).decoded().read()
    except FileRefusedError:
        return None if personal else b""
    lines = plain.splitlines(keepends=True)
    kept = [line for line in lines if not known.within(line, personal)]
    if len(kept) == len(lines):
        return b""
    if form != "ndjson" or not kept:
        return None
    content = b"".join(kept)
    if compression == "gzip":
        return gzip.compress(content, mtime=0)
    return bytes(pa.Codec("zstd").compress(content, asbytes=True)) if compression == "zstd" else content


def _parquet_mentions(tenant: Tenant, entity: str, batch_id: str, known: Mentions) -> bool:
    """Packed columns cannot be searched; what was split off the file tells."""
    personal = bool(ENTITIES[entity].personal)
    sealed = layout.sealed_personal(tenant, entity, batch_id)
    pieces = vault.unseal(tenant, sealed) if sealed.exists() else iter(())
    return any(known.within(line, personal) for piece in pieces for line in as_lines(pl.read_ipc(io.BytesIO(piece))))


def as_lines(frame: pl.DataFrame) -> Iterator[bytes]:
    """Each row as JSON, to look for mentions in."""
    return (json.dumps(row, default=str, ensure_ascii=False).encode() for row in frame.iter_rows(named=True))
