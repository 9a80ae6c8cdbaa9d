"""Rows that a sync wants at its destination: the model's, by key, with the mapped fields as canonical JSON."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pipelines.config import Tenant
from pipelines.delivery.reverse_etl.definition import Suppress, Sync
from pipelines.errors import UsageError
from pipelines.lake_sql import selected
from pipelines.storage.hashing import subject_key

#: What a sync wants; ``row_key`` is the canonical JSON list of the key's values.
DESIRED = {"row_key": pl.String, "payload": pl.String}
_ESCAPED = r'["\\\x00-\x1f]'
_INSTANT = "%Y-%m-%dT%H:%M:%S%.fZ"


class InvalidKeysError(UsageError):
    """Rows of a model cannot be told apart; nothing may be sent.

    Attributes:
        rows: how many.
    """

    def __init__(self, message: str, rows: int) -> None:
        super().__init__(message)
        self.rows = rows


def desired_rows(tenant: Tenant, sync: Sync) -> pl.DataFrame:
    """``DESIRED``, in any order.

    Raises:
        UsageError: the SQL is wrong or a column is not there.
        InvalidKeysError: keys are null or repeated; nothing may be sent then.
    """
    rows = _rows(tenant, sync)
    _must_name_rows(rows, sync.key)
    if sync.suppress:
        rows = rows.join(opted_out(tenant, sync.suppress), left_on=_who(sync), right_on="customer", how="anti")
    plain = rows.select(_plain(column) for column in rows)
    fields = pl.struct(pl.col(column).alias(name) for name, column in sorted(sync.mapping.items()))
    payload = fields.struct.json_encode().alias("payload")
    return plain.select(_row_key(plain, sync.key), payload)


def _rows(tenant: Tenant, sync: Sync) -> pl.DataFrame:
    """The columns of the model that are used."""
    wanted = dict.fromkeys([*sync.key, *sync.mapping.values(), *([_who(sync)] if sync.suppress else [])])
    columns: Sequence[str] = ()
    try:
        with selected(tenant, sync.model.select) as relation:
            columns = relation.columns
            rows: pl.DataFrame = relation.select(*(_quoted(name) for name in wanted if name in columns)).pl()
    except UsageError as error:
        raise UsageError(f"model: {error}") from None
    _must_have(columns, sync)
    return rows


def opted_out(tenant: Tenant, suppress: Suppress) -> pl.DataFrame:
    """``customer``: who is in the suppression of a channel on the newest day."""
    days = tenant.lake.days("cohort_membership")
    rows = tenant.lake.scan("cohort_membership", days[-1:])
    inside = (pl.col("cohort_id") == f"suppressed:{suppress.channel}") & pl.col("is_member")
    return rows.filter(inside).select(pl.col("external_id").alias("customer")).drop_nulls().unique().collect()


def _who(sync: Sync) -> str:
    assert sync.suppress is not None  # noqa: S101
    return sync.suppress.customer


def _must_have(columns: Sequence[str], sync: Sync) -> None:
    wanted = {"key": sync.key, "mapping": tuple(sync.mapping.values())}
    if sync.suppress:
        wanted["suppress.customer"] = (sync.suppress.customer,)
    for where, names in wanted.items():
        for name in names:
            if name not in columns:
                raise UsageError(f"{where}: the model has no column {name!r}; it has {', '.join(columns)}")


def _must_name_rows(rows: pl.DataFrame, key: Sequence[str]) -> None:
    shown = ", ".join(key)
    missing = rows.select(pl.any_horizontal(pl.col(name).is_null() for name in key).sum()).item()
    if missing:
        told = f"key: {missing:,} rows have null in {shown}; nothing was sent, leave them out in the SQL"
        raise InvalidKeysError(told, missing)
    # Keys with different hashes differ; only others are compared in full.
    hashed = rows.select(subject_key(key[0])).to_series() if len(key) == 1 and rows[key[0]].dtype == pl.String else None
    if hashed is not None and hashed.n_unique() == rows.height:
        return
    repeated = rows.height - rows.n_unique(subset=list(key))
    if repeated:
        told = f"key: {repeated:,} rows repeat the {shown} of another; nothing was sent, choose a key that is unique"
        raise InvalidKeysError(told, repeated)


def _row_key(rows: pl.DataFrame, key: Sequence[str]) -> pl.Expr:
    """Canonical JSON list of the key's values, of which none is null."""
    values = [_json(rows[name]) for name in key]
    return pl.concat_str(pl.lit("["), pl.concat_str(values, separator=","), pl.lit("]")).alias("row_key")


def _json(column: pl.Series) -> pl.Expr:
    """Values as JSON; ids with nothing to escape, which most are, take the short way."""
    found = pl.col(column.name)
    if column.dtype == pl.String and not column.str.contains(_ESCAPED).any():
        return pl.concat_str(pl.lit('"'), found, pl.lit('"'))
    encoded = pl.struct(found.alias("v")).struct.json_encode()
    return encoded.str.slice(len('{"v":')).str.strip_suffix("}")


def _plain(column: pl.Series) -> pl.Expr:
    """Values as JSON has them: instants and days as text, decimals as text without loss."""
    found = pl.col(column.name)
    if isinstance(column.dtype, pl.Datetime):
        return (
            found.dt.convert_time_zone("UTC").dt.to_string(_INSTANT) if column.dtype.time_zone else found.dt.to_string()
        )
    return found.cast(pl.String) if isinstance(column.dtype, pl.Decimal | pl.Date) else found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
