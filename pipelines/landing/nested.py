"""Nested values become canonical JSON text: sorted keys, no spaces, only declared fields, typed inside.

Null fields are left out, so that a field that a later contract declares does not change what older records hash to.
Quantities become thousandths, instants RFC 3339 in UTC with microseconds, ids text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

import polars as pl

from pipelines.landing import codes, times, values
from pipelines.landing.engine import connected
from schemas.contract import Column
from schemas.entities.envelope import MAX_ATTRIBUTES, MAX_ID_LENGTH, Nested

#: Declared columns that are one object; every other declared column is an array of objects.
OBJECTS = ("address",)
_ESCAPED = r'["\\\x00-\x1f]'
_CONTROL = re.compile(values.CONTROL)


def canonical(
    column: Column, fields: tuple[Nested, ...], texts: pl.Series, clock: times.Clock
) -> tuple[pl.Series, pl.Series]:
    """Canonical JSON of a column, and a typed reason where a value is wrong.

    Args:
        column: the ``json`` column.
        fields: its declared fields; empty for free-form values.
        texts: String, JSON as received.
        clock: for times inside.

    Returns:
        Two String series: the canonical text (null where wrong or null) and the reason (null where right).
    """
    if fields:
        return _declared(column.name, fields, texts, clock)
    if column.name == "attributes":
        return _each_distinct(texts, _attributes)
    if column.references:
        return _each_distinct(texts, lambda value: _references(column.name, value))
    return _each_distinct(texts, lambda value: _freeform(column.name, value))


def _each_distinct(texts: pl.Series, convert: Callable[[Any], tuple[Any, str | None]]) -> tuple[pl.Series, pl.Series]:
    """Free-form values repeat a lot, so each distinct text is read once."""
    distinct = texts.drop_nulls().unique()
    rows = [(text, *_read(text, convert)) for text in distinct]
    known = pl.DataFrame(rows, schema={"text": pl.String, "value": pl.String, "reason": pl.String}, orient="row")
    found = texts.to_frame("text").join(known, on="text", how="left", maintain_order="left")
    return found["value"], found["reason"]


def _read(text: str, convert: Callable[[Any], tuple[Any, str | None]]) -> tuple[str | None, str | None]:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None, convert(_Unreadable())[1]
    if value is None:
        return None, None
    result, reason = convert(value)
    return (None, reason) if reason else (dump(result), None)


class _Unreadable:
    """Stands for text that is not JSON."""


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def dump(value: Any) -> str:
    """Canonical JSON text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return all(_finite(item) for item in value)
    if isinstance(value, dict):
        return all(_finite(item) for item in value.values())
    return True


def _freeform(name: str, value: Any) -> tuple[Any, str | None]:
    wrong = isinstance(value, _Unreadable) or not isinstance(value, list | dict) or not _finite(value)
    return (None, f"invalid_json:{name}") if wrong else (value, None)


def _references(name: str, value: Any) -> tuple[Any, str | None]:
    if not isinstance(value, list):
        return None, f"invalid_json:{name}"
    ids = [str(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in value]
    wrong = any(not isinstance(i, str) or not i or len(i) > MAX_ID_LENGTH or _CONTROL.search(i) for i in ids)
    return (None, f"invalid_id:{name}") if wrong else (ids, None)


def _attributes(value: Any) -> tuple[Any, str | None]:
    if not isinstance(value, dict) or not _finite(value):
        return None, "invalid_json:attributes"
    if len(value) > MAX_ATTRIBUTES:
        return None, "too_many_attributes:attributes"
    flat = all(not isinstance(v, dict) and not (isinstance(v, list) and any(map(_deep, v))) for v in value.values())
    return (value, None) if flat else (None, "nested_attribute:attributes")


def _deep(value: Any) -> bool:
    return isinstance(value, list | dict)


def _declared(
    name: str, fields: tuple[Nested, ...], texts: pl.Series, clock: times.Clock
) -> tuple[pl.Series, pl.Series]:
    """Canonical text and reason of declared values, each distinct text taken apart once."""
    present = texts.is_not_null().arg_true()
    if not len(present):
        return values.nothing(pl.String, len(texts)), values.nothing(pl.String, len(texts))
    timed = any(field.kind == "timestamp" for field in fields)
    inside = clock.of(present) if timed else times.Clock(clock.zone)
    given = pl.DataFrame({"text": texts.gather(present), **inside.columns(len(present))})
    distinct = given.unique()
    known = _taken_apart(name, fields, distinct["text"], inside.like(distinct))
    found = given.join(
        pl.concat([distinct, known], how="horizontal"),
        on=distinct.columns,
        how="left",
        nulls_equal=True,
        maintain_order="left",
    )
    return _placed(found["value"], present, len(texts)), _placed(found["reason"], present, len(texts))


def _taken_apart(name: str, fields: tuple[Nested, ...], texts: pl.Series, clock: times.Clock) -> pl.DataFrame:
    """Arrays of objects are taken apart, typed field by field as columns, and put together again: value and reason."""
    one = name in OBJECTS
    parsed = _parse(texts, fields, one)
    wrong = pl.select(pl.when(parsed["shape"].is_null()).then(pl.lit(f"invalid_json:{name}"))).to_series()
    items = parsed.select("row", "item").explode("item", empty_as_null=False, keep_nulls=False)
    text, reason = _objects(name, items["item"].struct.unnest(), fields, clock.of(items["row"]))
    made = items.select("row").with_columns(text.alias("text"), reason.alias("reason"))
    joined = made.group_by("row", maintain_order=True).agg(
        pl.col("text").str.join(","), pl.col("reason").drop_nulls().first()
    )
    whole = parsed.select("row", "shape").join(joined, on="row", how="left", maintain_order="left")
    whole = whole.with_columns(wrong.alias("wrong")).select(
        value=pl.col("text").fill_null("") if one else pl.format("[{}]", pl.col("text").fill_null("")),
        reason=pl.coalesce("wrong", "reason"),
        null=pl.col("shape") == "NULL",
    )
    right = pl.col("reason").is_null() & ~pl.col("null").fill_null(False)
    return whole.select("reason", value=pl.when(right).then("value"))


def _placed(some: pl.Series, rows: pl.Series, height: int) -> pl.Series:
    return values.nothing(pl.String, height).scatter(rows, some)


def _parse(texts: pl.Series, fields: tuple[Nested, ...], one: bool) -> pl.DataFrame:
    """Columns row (UInt32), shape (String: ARRAY, OBJECT or NULL; null when neither), item (List(Struct of String))."""
    spec = {field.name: "VARCHAR" for field in fields}
    shape, template = ("OBJECT", json.dumps(spec)) if one else ("ARRAY", json.dumps([spec]))
    value = f"from_json(text, '{template}')"
    frame = texts.to_frame("text").with_row_index("row")
    query = f"""
        select "row", case when kind in ('{shape}', 'NULL') and coalesce(objects, true) then kind end as shape,
               case when kind = '{shape}' and coalesce(objects, true) then {f"[{value}]" if one else value} end as item
        from (select "row", text, case when json_valid(text) then json_type(text) end as kind,
                     case when kind = 'ARRAY' then list_distinct(json_type(text, '$[*]')) in ([], ['OBJECT']) end
                         as objects
              from frame)
        order by "row"
    """  # noqa: S608  built from declared names only
    with connected() as connection:
        connection.register("frame", frame)
        parsed: pl.DataFrame = connection.sql(query).pl()
        return parsed


def _objects(
    name: str, frame: pl.DataFrame, fields: tuple[Nested, ...], clock: times.Clock
) -> tuple[pl.Series, pl.Series]:
    """Canonical text of each object, and the first reason against it."""
    reason = values.nothing(pl.String, frame.height)
    pairs: dict[str, pl.Series] = {}
    for field in sorted(fields, key=lambda f: f.name):
        texts = frame[field.name]
        if field.required:
            reason = _said(reason, values.filled(texts).is_null(), f"missing_required:{name}.{field.name}")
        if texts.null_count() == frame.height:
            continue
        rendered, wrong = _field(field, texts, clock)
        reason = _said(reason, wrong, f"{_rule(field)}:{name}.{field.name}")
        pairs[field.name] = rendered
    if not pairs:
        return pl.Series(["{}"]).new_from_index(0, frame.height), reason
    parts = [pl.format('"{}":{}', pl.lit(key), pl.col(key)) for key in pairs]
    inner = pl.concat_str(parts, separator=",", ignore_nulls=True)
    whole = pl.concat_str([pl.lit("{"), inner, pl.lit("}")])
    return pl.DataFrame(pairs).select(whole).to_series(), reason


def _said(reason: pl.Series, wrong: pl.Series, text: str) -> pl.Series:
    """The first reason of each object, ``text`` where nothing was said before."""
    if not wrong.any():
        return reason
    said = values.nothing(pl.String, len(reason)).scatter(wrong.arg_true(), text)
    return reason.zip_with(reason.is_not_null(), said)


def _rule(field: Nested) -> str:
    if field.enum is not None:
        return "not_in_enum"
    if field.name == "currency":
        return "invalid_currency"
    rules = {"quantity": "invalid_quantity", "int64": "invalid_integer", "timestamp": "invalid_timestamp"}
    if field.kind == "string":
        return "invalid_id"
    return rules.get(field.kind, f"invalid_{field.kind}")


def _field(field: Nested, texts: pl.Series, clock: times.Clock) -> tuple[pl.Series, pl.Series]:
    """JSON text of one field's values, and where they are wrong."""
    if field.kind == "string":
        if field.enum is not None or field.name == "currency":
            texts = values.filled(texts)
            return _quoted(texts), _wrong_code(field, texts).fill_null(False)
        is_id = field.references is not None or field.name.endswith("_id")
        texts = values.filled(texts) if is_id else texts
        wrong = values.wrong_identifiers(texts, field.name, True) if is_id else texts.is_null() & False
        return _quoted(texts), wrong.fill_null(False)
    texts = values.filled(texts)
    typed: pl.Series
    if field.kind == "timestamp":
        instants = times.instants(texts, clock)
        typed = instants.to_frame("t").select(pl.format('"{}"', times.instant_text(pl.col("t")))).to_series()
        typed = typed.set(instants.is_null(), None)
    elif field.kind == "boolean":
        typed = values.booleans(texts).cast(pl.String)
    else:
        number = values.quantities(texts) if field.kind == "quantity" else values.integers(texts)
        if values.is_money(field.name):
            number = number.set((number.abs() >= values.MAX_MONEY).fill_null(False), None)
        typed = number.cast(pl.String)
    return typed, texts.is_not_null() & typed.is_null()


def _wrong_code(field: Nested, texts: pl.Series) -> pl.Series:
    if field.enum is not None:
        return ~texts.is_in(list(field.enum))
    return codes.wrong_currencies(texts)


def _quoted(texts: pl.Series) -> pl.Series:
    """JSON strings of texts; only those with a character that needs an escape go the slow way."""
    quoted = texts.to_frame("t").select(pl.format('"{}"', pl.col("t"))).to_series()
    special = texts.str.contains(_ESCAPED).fill_null(False)
    if special.any():
        rows = special.arg_true()
        quoted = quoted.scatter(rows, [json.dumps(text, ensure_ascii=False) for text in texts.gather(rows)])
    return quoted
