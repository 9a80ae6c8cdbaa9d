"""The split at the door: personal fields leave the record, and a few facts about them take their place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial

import phonenumbers
import polars as pl

from pipelines.landing import values
from pipelines.landing.free_text import ORIGINALS
from pipelines.landing.vault import contact_hash
from schemas.entities.envelope import Entity

_UK_POSTCODE = re.compile(r"([A-Z]{1,2}[0-9][A-Z0-9]?) ?[0-9][A-Z]{2}")
_OUTWARD_MAX = 3
#: Personal field -> the columns that a patch naming it decides.
_DERIVED_FROM = {
    "email": ("has_email", "contact_hash"),
    "phone": ("has_phone", "phone_hash"),
    "birth_date": ("birth_year",),
    "address": ("postal_district",),
    "contact": ("contact_hash",),
}


def normalised_email(text: str) -> str:
    """An address as it is hashed: trimmed, lower case."""
    return text.strip().lower()


def normalised_phone(text: str, region: str | None = None) -> str:
    """A number as it is hashed: digits with a leading plus, where it had one or its country is known; 00 is a plus.

    Args:
        text: as it was sent.
        region: ISO 3166 code of the country where numbers without a country code belong.
    """
    kept = re.sub(r"[^0-9+]", "", text)
    kept = "+" + kept[2:] if kept.startswith("00") else kept
    kept = kept[:1] + kept[1:].replace("+", "")
    return kept if kept.startswith("+") or region is None else _international(kept, region)


@lru_cache(maxsize=65_536)
def _international(digits: str, region: str) -> str:
    with suppress(phonenumbers.NumberParseException):
        number = phonenumbers.parse(digits, region)
        if phonenumbers.is_possible_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return digits


def normalised_contact(text: str, region: str | None = None) -> str:
    """Either of the two: an address has an @."""
    return normalised_email(text) if "@" in text else normalised_phone(text, region)


def postal_district(postal_code: str) -> str | None:
    """Outward part of a British code; of any other the first characters, which name no street."""
    code = " ".join(postal_code.upper().split())
    match = _UK_POSTCODE.fullmatch(code)
    if match:
        return match.group(1)
    return re.sub(r"[^A-Z0-9]", "", code)[:_OUTWARD_MAX] or None


def derive(frame: pl.DataFrame, entity: Entity, key: bytes, region: str | None = None) -> pl.DataFrame:
    """Add the derived columns of an entity, from personal columns that are still there.

    Args:
        frame: typed received columns.
        entity: customers and opt_outs have derived columns; others come back as they are.
        key: ``derived_key(tenant, "contact")``.
        region: the tenant's country.
    """
    if entity.name == "opt_outs":
        contact = _hashed(_filled(frame["contact"]), partial(normalised_contact, region=region), key)
        return frame.with_columns(contact.alias("contact_hash"))
    if entity.name != "customers":
        return frame
    email = _hashed(_filled(frame["email"]), normalised_email, key)
    phone = _hashed(_filled(frame["phone"]), partial(normalised_phone, region=region), key)
    postal = _part(frame["address"], "postal_code")
    # An upsert without the field says that there is none; a patch or tombstone that does not name it says nothing.
    return frame.with_columns(
        pl.when(_speaks_of("has_email")).then(email.is_not_null()).alias("has_email"),
        pl.when(_speaks_of("has_phone")).then(phone.is_not_null()).alias("has_phone"),
        email.alias("contact_hash"),
        phone.alias("phone_hash"),
        pl.col("birth_date").dt.year().cast(pl.Int64).alias("birth_year"),
        _mapped(postal, postal_district).alias("postal_district"),
        pl.coalesce("country", _part(frame["address"], "country")).alias("country"),
    )


def _speaks_of(column: str) -> pl.Expr:
    named = pl.col("patch_fields").str.contains(f'"{column}"', literal=True)
    return (pl.col("op") == "upsert") | named.fill_null(False)


def records(frame: pl.DataFrame, entity: Entity) -> pl.DataFrame | None:
    """The rows that hold anything personal, with what they need to be found again; None when there are none.

    Returns:
        line_no, external_id, op, order_at, the personal columns, and ``free_text``: a JSON object of column -> text as
        it came, for cells that were masked.
    """
    personal = (*entity.personal, ORIGINALS)
    if all(frame[name].null_count() == frame.height for name in personal):
        return None
    held = frame.filter(pl.any_horizontal(pl.col(name).is_not_null() for name in personal))
    return held.select("line_no", "external_id", "op", "order_at", *personal)


def patched(named: list[str], entity: Entity) -> list[str]:
    """The stored columns that a patch decides, sorted, from the fields that it names."""
    stored = {column.name for column in entity.stored}
    decided = {name for name in named if name in stored}
    for name in named:
        if name in entity.personal:
            decided.update(set(_DERIVED_FROM.get(name, ())) & stored)
    return sorted(decided)


def _filled(texts: pl.Series) -> pl.Series:
    return texts.set((texts.str.strip_chars() == "").fill_null(False), None)


def _hashed(texts: pl.Series, normalise: Callable[[str], str], key: bytes) -> pl.Series:
    return _mapped(texts, lambda text: contact_hash(key, normalise(text)))


def _part(objects: pl.Series, key: str) -> pl.Series:
    return _mapped(objects, lambda text: json.loads(text).get(key))


def _mapped(texts: pl.Series, function: Callable[[str], str | None]) -> pl.Series:
    if texts.null_count() == len(texts):
        return values.nothing(pl.String, len(texts))
    return pl.Series(texts.name, [None if t is None else function(t) for t in texts], dtype=pl.String)
