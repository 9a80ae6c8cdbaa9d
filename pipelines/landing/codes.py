"""Values that a published standard lists or shapes: countries, currencies, languages, trade item numbers, coordinates.

Every function takes a String series and gives a Boolean one that is true where the text breaks the standard, and false
or null where there is no text. Numbers, times and ids are read elsewhere.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import polars as pl

#: ISO 4217, codes that were withdrawn since 1999 included, since history still names them.
_CURRENCIES = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE
    CHF CHW CLF CLP CNY COP COU CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ
    GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD
    MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG
    QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS
    UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XOF XPD XPF XPT XSU XTS
    XUA XXX YER ZAR ZMW ZWG
    ADP ATS AZM BEF BYR CSD CYP DEM EEK ESP FIM FRF GHC GRD HRK IEP ITL LTL LUF LVL MGF MRO MTL MZM NLG PTE ROL RUR SDD
    SIT SKK SLL SRG STD TMM TRL VEB VEF YUM ZMK ZWD ZWL ZWR
"""
CURRENCIES = frozenset(_CURRENCIES.split())
_LANGUAGE = (
    r"^(?i:([a-z]{2,3}(-[a-z]{3}){0,3}|[a-z]{4,8})(-[a-z]{4})?(-([a-z]{2}|[0-9]{3}))?"
    r"(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(-[0-9a-wyz](-[a-z0-9]{2,8})+)*(-x(-[a-z0-9]{1,8})+)?|x(-[a-z0-9]{1,8})+)$"
)
_GTIN_LENGTHS = (8, 12, 13, 14)
_DECIMAL = r"^[+-]?[0-9]{1,3}(\.[0-9]+)?$"


@cache
def countries() -> frozenset[str]:
    """ISO 3166-1 alpha-2, as the time zone database lists it."""
    table = (files("tzdata.zoneinfo") / "iso3166.tab").read_text(encoding="utf-8")
    return frozenset(line.split("\t")[0] for line in table.splitlines() if line and not line.startswith("#"))


def wrong_currencies(texts: pl.Series) -> pl.Series:
    """Not a code of ISO 4217 in capital letters."""
    return ~texts.is_in(sorted(CURRENCIES))


def wrong_countries(texts: pl.Series) -> pl.Series:
    """Not a code of ISO 3166-1 alpha-2 in capital letters."""
    return ~texts.is_in(sorted(countries()))


def wrong_languages(texts: pl.Series) -> pl.Series:
    """Not shaped as a BCP 47 tag (RFC 5646); whether its parts are registered is not asked."""
    return ~texts.str.contains(_LANGUAGE)


def wrong_gtins(texts: pl.Series) -> pl.Series:
    """Not 8, 12, 13 or 14 digits of which the last is the check digit."""
    shaped = texts.str.contains(r"^[0-9]+$") & texts.str.len_bytes().is_in(_GTIN_LENGTHS)
    padded = pl.col("text").str.zfill(14)
    digits = [padded.str.slice(place, 1).cast(pl.Int64, strict=False) * (1 if place % 2 else 3) for place in range(14)]
    total = texts.to_frame("text").select(pl.sum_horizontal(digits, ignore_nulls=False)).to_series()
    return texts.is_not_null() & ~(shaped & (total % 10 == 0).fill_null(False))


def wrong_latitudes(texts: pl.Series) -> pl.Series:
    """Not decimal degrees from -90 to 90."""
    return _beyond(texts, 90)


def wrong_longitudes(texts: pl.Series) -> pl.Series:
    """Not decimal degrees from -180 to 180."""
    return _beyond(texts, 180)


def _beyond(texts: pl.Series, limit: int) -> pl.Series:
    degrees = texts.cast(pl.Float64, strict=False)
    return texts.is_not_null() & ~(texts.str.contains(_DECIMAL) & degrees.is_between(-limit, limit).fill_null(False))
