"""The ``data`` object of an event, as canonical JSON text: keys sorted, no spaces, absent where unknown.

Built by expressions, since a backfill has millions. The contract is ``schemas.events``; the envelope around it is made
at each attempt, not here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import polars as pl

from schemas.contract import Column
from schemas.events import DEFAULT_EXPONENT, EXPONENTS
from schemas.tables import CONTEXT, REFERRAL_CHANGES

#: Present in every cohort event, with null where a customer has no visitor.
_NULLABLE = "flockr_vid"
_IDENTITY = ("cohort_id", "definition_version", "transition_id", "external_id", "caused_by")
_CROSSING = ("signal_id", "definition_version", "crossing_id", "subject_type", "from_state", "to_state", "direction")
_VALUES = ("value_before", "value_after", "threshold")
_CHANGE = tuple(name for name in REFERRAL_CHANGES.names if name not in ("date", "kind", "effective_at"))
_INSTANT = "%Y-%m-%dT%H:%M:%S%.6fZ"


def cohort_payload(context: tuple[Column, ...] = CONTEXT) -> pl.Expr:
    """Data object of each row of ``cohort_transitions``, a String."""
    values = {name: _text(pl.col(name)) for name in _IDENTITY}
    values[_NULLABLE] = _text(pl.col(_NULLABLE)).fill_null("null")
    for column in context:
        values |= _context(column)
    return _object(values)


def crossing_payload() -> pl.Expr:
    """Data object of each row of ``signal_crossings`` or ``visitor_signal_crossings``, a String.

    The rows have ``place`` and ``other`` as well: the customer of a visitor or the visitor of a customer, null where
    there is no link.
    """
    subject, other = pl.col("subject"), pl.col("other")
    product, visitor, customer = (pl.col("subject_type") == kind for kind in ("product", "visitor", "customer"))
    vid = pl.when(visitor).then(subject).when(customer).then(other)
    place = pl.col("place").str.slice(2)
    return _object(
        {
            **{name: _text(pl.col(name)) for name in (*_CROSSING, *_VALUES)},
            "product_id": _text(pl.when(product).then(subject)),
            _NULLABLE: pl.when(~product).then(_text(vid).fill_null("null")),
            "external_id": _text(pl.when(customer).then(subject).when(visitor).then(other)),
            "outlet_id": _text(pl.when(pl.col("place").str.starts_with("o:")).then(place)),
            "group_id": _text(pl.when(pl.col("place").str.starts_with("g:")).then(place)),
        }
    )


def change_payload() -> pl.Expr:
    """Data object of each row of ``referral_changes``, a String."""
    return _object({name: _text(pl.col(name)) for name in _CHANGE})


def export_payload() -> pl.Expr:
    """Data object of each row of ``export_slo`` with ``manifest`` and ``unresolved``, a String."""
    return _object(
        {
            **{name: _text(pl.col(name)) for name in ("dataset", "reason", "manifest", "completeness")},
            **{name: pl.col(name).cast(pl.String) for name in ("revision", "rows")},
            **{name: _instant(pl.col(name)) for name in ("published_at", "promised_at")},
            "date": pl.lit('"') + pl.col("date").dt.to_string("%Y-%m-%d") + pl.lit('"'),
            "unresolved": pl.col("unresolved"),
        }
    )


def retraction_payload(payload: str, supersedes: str) -> str:
    """Data object of a retraction: what was told, with the id of the event that told it."""
    data = {**json.loads(payload), "supersedes": supersedes}
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def decimal_text(minor: pl.Expr, currency: pl.Expr) -> pl.Expr:
    """Exact decimal text of an amount in minor units, with the digits of its currency; null without one."""
    exponent = currency.replace_strict(EXPONENTS, default=DEFAULT_EXPONENT, return_dtype=pl.Int64)
    scale = exponent.replace_strict({0: 1, 2: 100, 3: 1000}, return_dtype=pl.Int64)
    size = minor.abs()
    whole = (size // scale).cast(pl.String)
    digits = pl.when(exponent == 3).then((size % scale).cast(pl.String).str.zfill(3))
    fraction = digits.otherwise((size % scale).cast(pl.String).str.zfill(2))
    text = pl.when(exponent == 0).then(whole).otherwise(whole + "." + fraction)
    sign = pl.when(minor < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    return pl.when(currency.is_not_null()).then(sign + text)


def _object(values: Mapping[str, pl.Expr]) -> pl.Expr:
    """An object of values that are JSON text already; what is null is left out."""
    pieces = [pl.lit(f'"{name}":') + values[name] for name in sorted(values)]
    body = pl.concat_str(pieces, separator=",", ignore_nulls=True)
    return (pl.lit("{") + body + pl.lit("}")).alias("payload")


def _context(column: Column) -> dict[str, pl.Expr]:
    value = pl.col(column.name)
    if column.name.endswith("_minor"):
        shown = decimal_text(value, pl.col("currency"))
        return {
            column.name: value.cast(pl.String),
            column.name.removesuffix("_minor"): pl.lit('"') + shown + pl.lit('"'),
        }
    if column.kind == "timestamp":
        return {column.name: _instant(value)}
    if column.kind == "json":
        return {column.name: value}
    if column.kind in ("int64", "quantity", "boolean"):
        return {column.name: value.cast(pl.String)}
    return {column.name: _text(value)}


def _instant(value: pl.Expr) -> pl.Expr:
    """An instant as JSON: RFC 3339 in UTC, milliseconds where they are exact."""
    return pl.lit('"') + value.dt.to_string(_INSTANT).str.replace(r"000Z$", "Z") + pl.lit('"')


def _text(value: pl.Expr) -> pl.Expr:
    """A string or float as JSON, null where the value is."""
    wrapped = pl.struct(value.alias("v")).struct.json_encode()
    bare = wrapped.str.strip_prefix('{"v":').str.strip_suffix("}")
    return pl.when(value.is_not_null()).then(bare)
