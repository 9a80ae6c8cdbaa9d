"""Many rows as one parameter, and many rows as one value: JSON texts, on SQLite and PostgreSQL alike.

One statement for a batch, whatever its size: nothing is compiled again, and the interpreter is asked once, not once a
row. SQLite's driver lets other threads run at each row that it steps to, which costs more than the row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnClause,
    Connection,
    FromClause,
    Select,
    Text,
    bindparam,
    cast,
    column,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

_TYPES: Mapping[str, Any] = {"text": Text(), "int": BigInteger(), "bool": Boolean()}


def rowset(dialect: str, name: str, columns: Mapping[str, str]) -> FromClause:
    """A table whose rows come with the execution, as the parameter ``name``.

    Args:
        dialect: name of the engine's dialect.
        name: of the table and of the parameter.
        columns: ``text``, ``int`` or ``bool`` by name.
    """
    return _rowset(dialect, name, tuple(columns.items()))


def packed(rows: Sequence[Mapping[str, Any]]) -> str:
    """The value of the parameter; a column that a row does not have is NULL there."""
    return json.dumps(rows)


def fetched(connection: Connection, query: Select[Any], given: Mapping[str, Any]) -> list[Sequence[Any]]:
    """Rows of a query of texts and integers, in its order.

    Args:
        connection: whose dialect decides how.
        query: a statement that is kept, so that what is made of it is kept too.
        given: its parameters.
    """
    if connection.dialect.name != "sqlite":
        return [*connection.execute(query, given).all()]
    found: list[Sequence[Any]] = json.loads(connection.execute(_as_one_value(query), given).scalar_one())
    return found


@lru_cache(maxsize=64)
def _as_one_value(query: Select[Any]) -> Select[Any]:
    rows = query.subquery()
    return select(func.json_group_array(func.json_array(*rows.c)))


@lru_cache(maxsize=64)
def _rowset(dialect: str, name: str, columns: tuple[tuple[str, str], ...]) -> FromClause:
    given: Any = bindparam(name, type_=Text())
    if dialect == "postgresql":
        typed: list[ColumnClause[Any]] = [column(key, _TYPES[kind]) for key, kind in columns]
        return (
            func.jsonb_to_recordset(cast(given, JSONB)).table_valued(*typed, name=name).render_derived(with_types=True)
        )
    each = func.json_each(given).table_valued("value", name=f"{name}_each")
    parts = [func.json_extract(each.c.value, f"$.{key}", type_=_TYPES[kind]).label(key) for key, kind in columns]
    return select(*parts).subquery(name)
