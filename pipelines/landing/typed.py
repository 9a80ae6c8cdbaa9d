"""A frame of texts becomes a frame of typed values, and every row that breaks a rule gets its reason.

Expressions over whole columns only; the checks that a clean column does not need are skipped by one look at it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

import polars as pl

from pipelines.calendar import FIRST_DAY, LAST_DAY, day_of
from pipelines.landing import codes, conditions, nested, originals, times, values
from pipelines.landing.refusals import Verdict
from pipelines.storage.hashing import identifiers
from schemas.contract import Column
from schemas.entities.envelope import SUPPORTED_MAJOR, Entity

#: Columns that steer the reading of a record and are not stored as its content.
TRANSPORT = ("op", "message_id", "schema_version", "timezone", "epoch_unit")


@dataclass(frozen=True)
class Typed:
    """Result of typing a frame.

    Attributes:
        frame: every received column, typed, with ``op``; String columns ``<column>__text`` for scalars, null where
            the text is as ``originals`` gives it back; all rows.
        verdict: which rows are refused and why.
    """

    frame: pl.DataFrame
    verdict: Verdict


def keeps_text(column: Column) -> bool:
    """Whether the original text of the column is kept beside the typed value."""
    return column.kind not in ("string", "json") and not column.personal


def typed(
    frame: pl.DataFrame,
    entity: Entity,
    zone: ZoneInfo,
    *,
    controls: bool = True,
    days: tuple[date, date] = (FIRST_DAY, LAST_DAY),
) -> Typed:
    """Type the received columns of an entity.

    Args:
        frame: every column of ``entity.received`` as String.
        entity: what the rows are.
        zone: the tenant's zone, for local times.
        controls: False when the input is known to hold no control character.
        days: first and last tenant day that a row of a partitioned entity may belong to.
    """
    verdict = Verdict(frame.height)
    clock = _transport(frame, zone, verdict)
    columns: dict[str, pl.Series] = {"op": values.filled(frame["op"]).fill_null("upsert")}
    verdict.refuse(~columns["op"].is_in(["upsert", "patch", "delete"]), "not_in_enum:op")
    for column in entity.received:
        if column.name in TRANSPORT and column not in entity.columns:
            continue
        texts = frame[column.name]
        value, text = _column(column, entity, texts, clock, verdict, controls)
        columns[column.name] = value
        if keeps_text(column):
            columns[f"{column.name}__text"] = text
    result = pl.DataFrame(columns)
    result = _natural_ids(result, entity)
    _required(result, entity, verdict)
    _within(result, entity, zone, days, verdict)
    conditions.judge(result, entity.name, verdict)
    return Typed(result, verdict)


def _transport(frame: pl.DataFrame, zone: ZoneInfo, verdict: Verdict) -> times.Clock:
    """Check the envelope's own fields; how the rows write time."""
    versions = frame["schema_version"]
    if versions.null_count() < frame.height:
        wrong = ~versions.str.contains(r"^\d+(\.\d+){0,2}$")
        verdict.refuse(wrong, "invalid_schema_version:schema_version")
        other = versions.str.split(".").list.first() != SUPPORTED_MAJOR
        verdict.refuse(other & ~wrong, "unknown_major_version")
    if frame["message_id"].null_count() < frame.height:
        verdict.refuse(values.wrong_identifiers(frame["message_id"], "message_id", True), "invalid_id:message_id")
    zones, units = _said(frame["timezone"]), _said(frame["epoch_unit"])
    if zones is not None:
        known = [zone for zone in zones.drop_nulls().unique() if times.known_zone(zone)]
        verdict.refuse(~zones.is_in(known), "invalid_timezone:timezone")
    if units is not None:
        right = units.is_in(list(times.EPOCH_UNITS))
        verdict.refuse(~right, "not_in_enum:epoch_unit")
        units = units.zip_with(right.fill_null(False), values.nothing(pl.String, len(units)))
    return times.Clock(zone, zones, units)


def _said(texts: pl.Series) -> pl.Series | None:
    """The texts, empty ones null; None where no row has any."""
    return None if texts.null_count() == len(texts) else values.filled(texts)


def _column(
    column: Column,
    entity: Entity,
    texts: pl.Series,
    clock: times.Clock,
    verdict: Verdict,
    controls: bool,
) -> tuple[pl.Series, pl.Series]:
    """The value, and of a scalar the text where it is not as the value is usually written."""
    if texts.null_count() == len(texts):
        return texts if column.dtype == pl.String else values.nothing(column.dtype, len(texts)), texts
    if column.kind == "string":
        return _string(column, texts, verdict, controls), texts
    received, texts = texts, values.filled(texts)
    if column.kind == "json":
        value, reason = nested.canonical(column, entity.nested_fields(column.name), texts, clock)
        verdict.refuse_each(reason)
        return value.rename(column.name), texts
    value, plain = _scalar(column, texts, clock)
    verdict.refuse(texts.is_not_null() & value.is_null(), f"{_RULES[column.kind]}:{column.name}")
    if column.kind == "int64":
        if values.is_money(column.name):
            verdict.refuse(value.abs() >= values.MAX_MONEY, f"out_of_range:{column.name}")
        if column.minimum is not None:
            verdict.refuse(value < column.minimum, f"out_of_range:{column.name}")
    return value.rename(column.name), originals.kept(column, received, value, plain)


_RULES = {
    "timestamp": "invalid_timestamp",
    "date": "invalid_date",
    "int64": "invalid_integer",
    "quantity": "invalid_quantity",
    "boolean": "invalid_boolean",
}


def _scalar(column: Column, texts: pl.Series, clock: times.Clock) -> tuple[pl.Series, pl.Series | None]:
    """The value, and of instants where they are written plainly."""
    if column.kind == "timestamp":
        return times.instants_and_plain(texts, clock)
    if column.kind == "date":
        return times.dates(texts), None
    if column.kind == "quantity":
        return values.quantities(texts), None
    if column.kind == "boolean":
        return values.booleans(texts), None
    return values.integers(texts), None


#: Columns whose values a standard lists or shapes: rule and what is wrong.
_CODES = {
    "country": ("invalid_country", codes.wrong_countries),
    "language": ("invalid_language", codes.wrong_languages),
    "gtin": ("invalid_gtin", codes.wrong_gtins),
    "latitude": ("invalid_coordinate", codes.wrong_latitudes),
    "longitude": ("invalid_coordinate", codes.wrong_longitudes),
}


def _string(column: Column, texts: pl.Series, verdict: Verdict, controls: bool) -> pl.Series:
    name = column.name
    identifier, currency = values.is_identifier(column), values.is_currency(name)
    if identifier or currency or name in _CODES or column.enum is not None:
        texts = values.filled(texts)
    if column.enum is not None:
        verdict.refuse(~texts.is_in(list(column.enum)), f"not_in_enum:{name}")
    elif currency:
        verdict.refuse(codes.wrong_currencies(texts), f"invalid_currency:{name}")
    elif identifier:
        verdict.refuse(values.wrong_identifiers(texts, name, controls), f"invalid_id:{name}")
    elif name in _CODES:
        rule, wrong = _CODES[name]
        verdict.refuse(wrong(texts), f"{rule}:{name}")
    elif name == "timezone":
        known = [zone for zone in texts.drop_nulls().unique() if times.known_zone(zone)]
        verdict.refuse(~texts.is_in(known), f"invalid_timezone:{name}")
    return values.paths(texts) if name == "url_path" else texts


def _natural_ids(frame: pl.DataFrame, entity: Entity) -> pl.DataFrame:
    """Rows without an id of their own take the hash of their natural key, where it is complete."""
    if not entity.natural_key or frame["external_id"].null_count() == 0:
        return frame
    parts = [_key_text(entity, name) for name in entity.natural_key]
    complete = pl.all_horizontal(
        pl.col(name).is_not_null() for name in entity.natural_key if _column_of(entity, name).required
    )
    own = pl.col("external_id").is_null() & complete
    return frame.with_columns(
        pl.when(own).then(identifiers(parts)).otherwise(pl.col("external_id")).alias("external_id")
    )


def _column_of(entity: Entity, name: str) -> Column:
    return next(column for column in entity.received if column.name == name)


def _key_text(entity: Entity, name: str) -> pl.Expr:
    kind = _column_of(entity, name).kind
    value = pl.col(name)
    if kind == "timestamp":
        value = times.instant_text(value)
    elif kind != "string":
        value = value.cast(pl.String)
    return value.fill_null("")


def _required(frame: pl.DataFrame, entity: Entity, verdict: Verdict) -> None:
    upsert = frame["op"] == "upsert"
    _missing(frame["external_id"].is_null(), "external_id", verdict)
    _missing(frame.select(order_instant(entity)).to_series().is_null(), _order_column(entity), verdict)
    for column in entity.columns:
        if not column.required or column.name == entity.ordered_by:
            continue
        value = frame[column.name]
        if value.null_count():
            _missing(value.is_null() & upsert, column.name, verdict)
        if column.kind == "string":
            _missing((value == "") & upsert, column.name, verdict)
        elif column.kind == "json":
            _missing((value == "[]") & upsert, column.name, verdict)


def _within(frame: pl.DataFrame, entity: Entity, zone: ZoneInfo, days: tuple[date, date], verdict: Verdict) -> None:
    if not entity.partitioned:
        return
    instant = frame.select(day_instant(entity)).to_series()
    first, last = day_of(days[0], zone).start, day_of(days[1], zone).end
    verdict.refuse(~instant.is_between(first, last, closed="left"), f"out_of_range:{entity.day_instant}")


def _missing(mask: pl.Series, column: str, verdict: Verdict) -> None:
    verdict.refuse(mask, f"missing_required:{column}")


def _order_column(entity: Entity) -> str:
    """``updated_at`` of opt-outs may be left out; what orders them then is when they happened."""
    return entity.ordered_by if _column_of(entity, entity.ordered_by).required else "occurred_at"


def order_instant(entity: Entity) -> pl.Expr:
    """The instant that orders versions of an id."""
    return pl.coalesce(*dict.fromkeys((entity.ordered_by, _order_column(entity))))


def day_instant(entity: Entity) -> pl.Expr:
    """The instant whose tenant day a row belongs to; that of its version where a patch or tombstone does not say."""
    return pl.coalesce(*dict.fromkeys((entity.day_instant, entity.ordered_by, _order_column(entity))))
