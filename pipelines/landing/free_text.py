"""Contact details that people typed where no field asks for them: masked in free text, refused in identifiers.

Works on whole columns: only texts that look suspicious are taken apart by ``contacts``. What a masked cell said goes to
the vault with the personal record; equal records stay equal, since a placeholder depends on the cell alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import polars as pl

from pipelines.landing import contacts, values
from pipelines.landing.nested import dump
from pipelines.landing.typed import TRANSPORT, Typed
from schemas.contract import Column
from schemas.entities.envelope import Entity

#: The column that ``split`` adds: canonical JSON object of masked column -> text as it came, null where nothing is.
ORIGINALS = "free_text"
RULE = "personal_data"

#: closed values are checked one by one elsewhere; an id is never changed; a code is full of digits that nobody dials.
Form = Literal["closed", "id", "code", "text", "json"]
_CODE_ENDS = ("_ref", "_code", "_class", "_rate", "_value")
_CODES = ("gtin", "serial", "latitude", "longitude", "language", "country", "shape")
#: Keys of free attributes that are personal by what they are called, whatever they hold.
_PERSONAL_KEYS = (
    *("email", "e_mail", "email_address", "phone", "phone_number", "mobile", "mobile_number", "telephone", "msisdn"),
    *("first_name", "last_name", "full_name", "surname", "birth_date", "date_of_birth", "dob", "iban"),
    *("address", "address_line1", "address_line2", "loyalty_card_number"),
)

_PERSONAL_KEY = r'(?i)"(?:' + "|".join(key.replace("_", "[_ -]?") for key in _PERSONAL_KEYS) + r')":'
_HIDDEN = "[personal]"

#: As people dial it, in whatever country.
_DIALLED = re.compile(r"(?<![0-9])0[1-9](?:[ ().-]?[0-9]){8,}")

Mask = Callable[[str], str | None]


def form_of(column: Column) -> Form:
    """How the values of a received column are looked at."""
    if column.kind == "json":
        return "json"
    if column.kind != "string" or column.enum is not None or column.personal:
        return "closed"
    if values.is_currency(column.name) or column.name in TRANSPORT:
        return "closed"
    if values.is_identifier(column):
        return "id"
    return _form_of_text(column.name)


def _form_of_text(name: str) -> Form:
    return "code" if name.endswith(_CODE_ENDS) or name in _CODES else "text"


def split(result: Typed, entity: Entity, country: str | None) -> Typed:
    """Mask contact details in the free text of typed rows, and refuse rows with one in an identifier.

    Args:
        result: typed rows; the verdict gets ``personal_data:<column>`` for identifiers.
        entity: what the rows are.
        country: whose national phone numbers are known.

    Returns:
        The same rows with placeholders, and the column ``ORIGINALS``.
    """
    frame, verdict = result.frame, result.verdict
    said: dict[int, dict[str, str]] = {}
    changed = []
    for column in entity.received:
        form = form_of(column)
        if form == "closed" or column.name not in frame.columns:
            continue
        texts = frame[column.name]
        rows, given, masked = _masked(texts, *_reader(column, entity, form, country))
        wrong = [row for row, text in zip(rows, masked, strict=True) if text is None]
        if wrong:
            verdict.refuse(pl.Series(range(frame.height)).is_in(wrong), f"{RULE}:{column.name}")
        kept = [(row, was, now) for row, was, now in zip(rows, given, masked, strict=True) if now is not None]
        for row, was, _ in kept:
            said.setdefault(row, {})[column.name] = was
        if kept:
            changed.append(texts.scatter([row for row, _, _ in kept], [now for _, _, now in kept]))
    originals = values.nothing(pl.String, frame.height)
    if said:
        originals = originals.scatter(list(said), [dump(cells) for cells in said.values()])
    return replace(result, frame=frame.with_columns(*changed, originals.alias(ORIGINALS)))


def counts(frame: pl.DataFrame) -> Counter[str]:
    """Column -> number of masked cells, of a frame with ``ORIGINALS``."""
    return Counter(name for text in frame[ORIGINALS].drop_nulls() for name in json.loads(text))


def shown_name(name: str, country: str | None = None) -> str:
    """A file name that is safe to keep: contact details in it are masked."""
    shown = contacts.masked(name, country)
    return shown if country else _DIALLED.sub("[phone]", shown)


def kept_name(name: str) -> str:
    """A file name as it may be kept to know the file again: a hash, where the name may hold a contact detail."""
    return name if shown_name(name) == name else hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


def _masked(texts: pl.Series, pattern: str, mask: Mask) -> tuple[list[int], list[str], list[str | None]]:
    """Row, text and masked text of the cells that change; None where a cell may not be masked."""
    if texts.null_count() == len(texts):
        return [], [], []
    rows = texts.str.contains(pattern).arg_true()
    given = texts.gather(rows)
    distinct = {text: mask(text) for text in given.unique()}
    hits = [(row, text) for row, text in zip(rows, given, strict=True) if distinct[text] != text]
    return [row for row, _ in hits], [text for _, text in hits], [distinct[text] for _, text in hits]


def _reader(column: Column, entity: Entity, form: Form, country: str | None) -> tuple[str, Mask]:
    """The pattern of suspicious cells of a column, and what makes of such a cell its masked form."""
    if form == "json":
        return _suspicious_json(column, entity, country), partial(_masked_json, column, entity, country)
    code = form != "text"
    mask = partial(_masked_id if form == "id" else _masked_text, country, code)
    return contacts.suspicious(country, code=code), mask


def _masked_text(country: str | None, code: bool, text: str) -> str:
    return contacts.masked(text, country, code=code)


def _masked_id(country: str | None, code: bool, text: str) -> str | None:
    """An id is the same everywhere or refers to nothing, so it stays or its row is refused."""
    return text if contacts.masked(text, country, code=code) == text else None


# --- nested values ---------------------------------------------------------------------------------------------------


def _suspicious_json(column: Column, entity: Entity, country: str | None) -> str:
    fields = entity.nested_fields(column.name)
    codes, texts = contacts.suspicious(country, code=True), contacts.suspicious(country, code=False)
    if not fields:
        ids = column.references or column.name.endswith("_ids")
        return codes if ids else rf"{texts}|{_PERSONAL_KEY}" if column.name == "attributes" else texts
    free = [field.name for field in fields if _form_of_field(column, entity, field.name) == "text"]
    # Ids and numbers of a line are digits too: only the free fields are searched for those.
    inside = rf'"(?:{"|".join(free)})":(?:"(?:[^"\\]|\\.)*?)?(?:{texts})' if free else codes
    return f"{codes}|{inside}"


def _form_of_field(column: Column, entity: Entity, name: str) -> Form:
    field = next((field for field in entity.nested_fields(column.name) if field.name == name), None)
    if field is None or field.kind != "string" or values.is_currency(name):
        return "closed"
    return "id" if field.references or name.endswith("_id") else _form_of_text(name)


class _RefusedError(Exception):
    """An identifier inside the value is a contact detail."""


def _masked_json(column: Column, entity: Entity, country: str | None, text: str) -> str | None:
    """The value with placeholders, None where an id inside is a contact detail."""
    whole: Form = "id" if column.references or column.name.endswith("_ids") else "text"
    parsed = json.loads(text)
    try:
        masked = _walk(parsed, whole, _Nesting(column, entity, country))
    except _RefusedError:
        return None
    return text if masked == parsed else dump(masked)


@dataclass(frozen=True)
class _Nesting:
    """Where a nested value stands."""

    column: Column
    entity: Entity
    country: str | None


def _walk(value: Any, form: Form, where: _Nesting) -> Any:
    if isinstance(value, str):
        return _leaf(value, form, where.country)
    if isinstance(value, list):
        return [_walk(item, form, where) for item in value]
    if not isinstance(value, dict):
        return value
    if where.entity.nested_fields(where.column.name):
        forms = {key: _form_of_field(where.column, where.entity, key) for key in value}
        return {key: _walk(item, forms[key], where) for key, item in value.items()}
    return dict(_pairs(value, where))


def _leaf(value: str, form: Form, country: str | None) -> str:
    if form == "closed":
        return value
    masked = contacts.masked(value, country, code=form != "text")
    if masked != value and form == "id":
        raise _RefusedError
    return masked


def _pairs(value: dict[str, Any], where: _Nesting) -> Iterator[tuple[str, Any]]:
    """Keys and values of a free-form object; keys may be contact details too."""
    seen: Counter[str] = Counter()
    for key in sorted(value):
        shown = _leaf(key, "text", where.country)
        if shown != key:
            # Two keys may be masked alike; both values stay.
            seen[shown] += 1
            shown = shown if seen[shown] == 1 else f"{shown} {seen[shown]}"
        hidden = where.column.name == "attributes" and _is_personal_key(key) and value[key] is not None
        yield shown, _HIDDEN if hidden else _walk(value[key], "text", where)


def _is_personal_key(key: str) -> bool:
    return key.lower().replace("-", "_").replace(" ", "_") in _PERSONAL_KEYS
