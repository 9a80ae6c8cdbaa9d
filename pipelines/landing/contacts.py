"""Contact details inside one text: where they stand, and the text with a placeholder in place of each.

E-mail addresses, phone numbers, payment cards and bank accounts (IBAN), also percent-encoded. Names and postal
addresses have no form by which they could be told from other words. Which columns are looked at is decided in
``free_text``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources

import phonenumbers
from phonenumbers import Leniency, PhoneMetadata, PhoneNumberMatcher, ValidationResult

from pipelines.config import Tenant

#: Between the digits of a number that people write in groups.
_GAP = r"[ ().\-/~\u00a0\u2010-\u2015]"
_EMAIL = re.compile(
    r"""(?:"[^"@\uff20]{1,64}"|[^\s@\uff20<>()\[\]",;:\\/?&=']{1,64})[@\uff20](?:[\w-]+\.)+(?:xn--[\w-]+|[^\W\d_]{2,})"""
)
#: logo@2x.png is a picture for fine screens.
PICTURE = r"@[0-9](?:\.[0-9])?x\.(?:png|jpe?g|gif|webp|svg|avif)\b"
_PICTURE = re.compile(PICTURE)
_INTERNATIONAL = re.compile(rf"[+\uff0b]{_GAP}{{0,2}}[1-9](?:{_GAP}{{0,3}}\d){{7,}}")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?![A-Za-z0-9])")
_CARD = re.compile(
    r"(?<![\d.\-])(?:4\d{3}|5[1-5]\d\d|2[2-7]\d\d|6011|65\d\d|35[2-8]\d)(?:[ -]?\d{4}){3}(?![\d.\-])"
    r"|(?<![\d.\-])3[47]\d\d[ -]?\d{6}[ -]?\d{5}(?![\d.\-])"
)
#: Ids of machines, hashes and instants are full of digits and never numbers to call.
_MACHINE = re.compile(
    r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}|(?<![0-9A-Za-z])[0-9A-Fa-f]{24,}(?![0-9A-Za-z])"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?"
)
_DATE = re.compile(r"\d{4}([-./ ])[01]?\d\1[0-3]?\d(?!\d)|(?<!\d)[0-3]?\d([-./ ])[0-3]?\d\2\d{4}(?!\d)")
_DECIMAL = re.compile(r"\d+\.\d+")
_ESCAPE = re.compile(r"%([2-7][0-9A-Fa-f])")
_CODE_LENGTHS = (8, 12, 13, 14)


def country_of(tenant: Tenant) -> str | None:
    """ISO 3166 code of the country whose national numbers are recognised: as configured, else that of the zone."""
    return tenant.config.country or _country_of_zone(tenant.config.timezone)


@lru_cache(maxsize=256)
def _country_of_zone(zone: str) -> str | None:
    table = resources.files("tzdata").joinpath("zoneinfo/zone.tab").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in table.splitlines() if not line.startswith("#"))
    return next((row[0] for row in rows if row[2] == zone), None)


def suspicious(region: str | None, *, code: bool) -> str:
    """Pattern (for Polars and ``re``) that a text must match to be looked at closely; quick, and never too narrow.

    Args:
        region: the tenant's country, whose national numbers are known.
        code: as for ``masked``.
    """
    always = r"[@\uff20]|%(?:25)*40|(?:[+\uff0b]|%(?:25)*2[Bb])[ (%0-9]"
    return always if code else f"{always}|{_CARD_LIKE}|{_IBAN_LIKE}|{_phone_like(region)}"


_SPACE = r"(?:[ \-+]|%(?:25)*20)?"
_CARD_LIKE = (
    rf"(?:4[0-9]|5[1-5]|2[2-7]|6[05]|35)[0-9]{{2}}(?:{_SPACE}[0-9]{{4}}){{3}}|3[47][0-9]{{2}}{_SPACE}[0-9]{{6}}"
)
_IBAN_LIKE = rf"[A-Z]{{2}}[0-9]{{2}}(?:{_SPACE}[A-Z0-9]{{4}}){{2}}"


@lru_cache(maxsize=512)
def _phone_like(region: str | None) -> str:
    """Pattern of the texts that may hold a number without a plus."""
    digit = r"[ ().\-/+%~\u00a0\u2010-\u2015]{0,4}[0-9]"
    # Without a national prefix any long row of digits may be a number.
    start = r"\(|(?:^|[^0-9])0" if _prefix(region) == "0" else r"[0-9(]"
    own = rf"|(?:^|[^0-9]){_with_gaps(str(_calling_code(region)), digit)}(?:{digit}){{8}}" if region else ""
    return rf"(?:{start})(?:{digit}){{6}}{own}"


def _with_gaps(digits: str, digit: str) -> str:
    gap = digit.removesuffix("[0-9]")
    return gap.join(digits)


@lru_cache(maxsize=65_536)
def masked(text: str, region: str | None, *, code: bool = False) -> str:
    """The text with ``[email]``, ``[phone]``, ``[card]`` and ``[iban]`` in place of what was found.

    Depends on the text alone; what is masked stays as it is when it is masked again.

    Args:
        text: as received.
        region: ISO 3166 code for numbers without a country code; None knows only international ones.
        code: the text is a code or an id, so that only addresses and numbers with a plus are contact details.
    """
    plain, places = _decoded(text)
    spans = sorted(_found(plain, region, code=code))
    for start, end, kind in reversed(spans):
        text = f"{text[: places[start]]}[{kind}]{text[places[end] :]}"
    return _EMAIL.sub(_email_sub, text) if "@" in text else text


def _email_sub(match: re.Match[str]) -> str:
    return match.group() if _PICTURE.search(match.group()) else "[email]"


def _decoded(text: str) -> tuple[str, list[int]]:
    """The text without percent escapes of ASCII, however often escaped, and where each of its characters began."""
    places = list(range(len(text) + 1))
    while match := _ESCAPE.search(text):
        kept, moved, last = [], [], 0
        for match in _ESCAPE.finditer(text):
            kept += [text[last : match.start()], chr(int(match.group(1), 16))]
            moved += places[last : match.start() + 1]
            last = match.end()
        text, places = "".join(kept) + text[last:], moved + places[last:]
    return text, places


def _found(text: str, region: str | None, *, code: bool) -> Iterator[tuple[int, int, str]]:
    """(start, end, kind) of every contact detail; they do not overlap."""
    spans = [(m.start(), m.end(), "email") for m in _EMAIL.finditer(text) if not _PICTURE.search(m.group())]
    yield from spans
    text = _blanked(text, spans)
    if not code:
        spans = [(m.start(), m.end(), "iban") for m in _IBAN.finditer(text) if _is_iban(m.group())]
        spans += [(m.start(), m.end(), "card") for m in _CARD.finditer(text) if _is_card(m.group())]
        yield from spans
        text = _blanked(text, spans)
    spans = [(m.start(), m.end(), "phone") for m in _INTERNATIONAL.finditer(text)]
    yield from spans
    if not code:
        text = _blanked(text, [*spans, *((m.start(), m.end(), "") for m in _MACHINE.finditer(text))])
        # In a query string a plus is a space.
        text = re.sub(r"(?<=\d)\+(?=\d)", " ", text)
        if not re.search(_phone_like(region), text):
            return
        for match in PhoneNumberMatcher(text, region, Leniency.POSSIBLE, max_tries=1000):
            if _is_phone(text, match, region):
                yield match.start, match.end, "phone"


def _blanked(text: str, spans: list[tuple[int, int, str]]) -> str:
    for start, end, _ in spans:
        text = f"{text[:start]}{'x' * (end - start)}{text[end:]}"
    return text


def _is_phone(text: str, match: phonenumbers.PhoneNumberMatch, region: str | None) -> bool:
    raw = match.raw_string
    if raw[0] in "+\uff0b":
        return _is_possible(match.number)
    before, after = text[: match.start][-2:], text[match.end :][:1]
    if re.search(r"[A-Za-z0-9_#]$|[A-Za-z0-9][-_#.]$", before) or re.match(r"[A-Za-z0-9_]", after):
        return False
    if _DECIMAL.fullmatch(raw) or _DATE.search(raw):
        return False
    digits = phonenumbers.normalize_digits_only(raw)
    return _is_dialled(digits, match.number, region, bare=raw.isdecimal())


def _is_dialled(digits: str, number: phonenumbers.PhoneNumber, region: str | None, *, bare: bool) -> bool:
    """Whether digits without a plus are a number: 00 and a country, the own country's code, or its national form."""
    own = _calling_code(region)
    if digits.startswith(f"00{number.country_code}"):
        sure = number.country_code == own or not (bare and _is_article(digits))
        return sure and _is_possible(number) and (number.country_code == own or phonenumbers.is_valid_number(number))
    if number.country_code != own or region is None:
        return False
    national = phonenumbers.national_significant_number(number)
    usual = len(national) == _mobile_length(region)
    if digits == f"{own}{national}":
        return usual and national[0] == str(_mobile(region))[0]
    if bare and _is_article(digits):
        return False
    prefix = _prefix(region)
    if prefix == "0" and not digits.startswith("0"):
        return False
    valid = phonenumbers.is_valid_number(number)
    if prefix and digits.startswith(prefix) and digits != national:
        return valid or usual
    return valid and (not bare or prefix is None)


def _is_possible(number: phonenumbers.PhoneNumber) -> bool:
    return phonenumbers.is_possible_number_with_reason(number) == ValidationResult.IS_POSSIBLE


def _is_article(digits: str) -> bool:
    """Whether digits are an EAN, UPC or GTIN, or an ISBN of ten, by length and check digit."""
    if len(digits) in _CODE_LENGTHS:
        weighed = sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(reversed(digits)))
        return weighed % 10 == 0
    return len(digits) == 10 and sum(int(d) * (10 - i) for i, d in enumerate(digits)) % 11 == 0


def _is_card(text: str) -> bool:
    digits = [int(d) for d in re.sub(r"\D", "", text)]
    doubled = [sum(divmod(2 * d, 10)) if i % 2 else d for i, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0 and len(set(digits)) > 1


def _is_iban(text: str) -> bool:
    account = text.replace(" ", "")
    if not 15 <= len(account) <= 34 or account[:2] not in phonenumbers.SUPPORTED_REGIONS:
        return False
    return int("".join(str(int(c, 36)) for c in account[4:] + account[:4])) % 97 == 1


def _calling_code(region: str | None) -> int:
    return phonenumbers.country_code_for_region(region) if region else 0


@lru_cache(maxsize=512)
def _prefix(region: str | None) -> str | None:
    """What people of a country dial before a number of another place: mostly 0, nothing in some countries."""
    metadata = PhoneMetadata.metadata_for_region(region, None) if region else None
    return metadata.national_prefix if metadata else None


@lru_cache(maxsize=512)
def _mobile(region: str) -> int:
    """An example of the country's mobile numbers."""
    number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    return number.national_number or 0 if number else 0


def _mobile_length(region: str) -> int:
    return len(str(_mobile(region)))
