"""The two building blocks of every contract: a column and an ordered, versioned set of them.

One definition gives the Polars schema, the Pandera schema that guards a write, and the column order of files.
Only the types that every reader and engine keeps unchanged are allowed (see ``DTYPES``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import pandera.polars as pa
import polars as pl

Kind = Literal["string", "int64", "quantity", "boolean", "date", "timestamp", "ratio", "json"]

#: ``quantity`` is thousandths in an Int64; ``json`` is canonical JSON text; ``ratio`` is one division of two integers.
DTYPES: dict[str, pl.DataType] = {
    "string": pl.String(),
    "int64": pl.Int64(),
    "quantity": pl.Int64(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us", "UTC"),
    "ratio": pl.Float64(),
    "json": pl.String(),
}


@dataclass(frozen=True)
class Column:
    """One column: its name, kind and meaning.

    Attributes:
        name: column name, snake case.
        kind: one of ``DTYPES``.
        required: a row without it is refused.
        enum: the only values allowed, when closed.
        references: the entity whose ``external_id`` the value names, when it is a reference.
        personal: the value may identify a person and never leaves the vault.
        minimum: the smallest value allowed, for whole numbers.
        description: one sentence for the data dictionary, with the unit.
        since: the contract version that added it.
    """

    name: str
    kind: Kind
    required: bool = False
    enum: tuple[str, ...] | None = None
    references: str | None = None
    personal: bool = False
    minimum: int | None = None
    description: str = ""
    since: str = "1.0"

    @property
    def dtype(self) -> pl.DataType:
        """The Polars type that a stored value has."""
        return DTYPES[self.kind]


@dataclass(frozen=True)
class Contract:
    """An ordered set of columns with a name, a version and a primary key.

    Attributes:
        name: table, dataset or entity name.
        columns: in file order; a minor version only appends.
        primary_key: columns that identify a row and order a file.
        version: ``major.minor``.
        partitioned: whether rows belong to one tenant day in a ``date`` column.
        description: what a row is, for the data dictionary.
    """

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    version: str = "1.0"
    partitioned: bool = True
    description: str = ""
    _by_name: dict[str, Column] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._by_name.update({column.name: column for column in self.columns})
        if len(self._by_name) != len(self.columns):
            raise ValueError(f"contract {self.name}: a column name appears twice")
        missing = [name for name in self.primary_key if name not in self._by_name]
        if missing:
            raise ValueError(f"contract {self.name}: primary key column {missing[0]} is not a column")

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __getitem__(self, name: str) -> Column:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @property
    def names(self) -> list[str]:
        """Column names in file order."""
        return [column.name for column in self.columns]

    @property
    def schema(self) -> pl.Schema:
        """The Polars schema, in file order."""
        return pl.Schema({column.name: column.dtype for column in self.columns})

    def empty(self) -> pl.DataFrame:
        """A typed frame without rows."""
        return pl.DataFrame(schema=self.schema)

    @property
    def _texts(self) -> list[str]:
        return [column.name for column in self.columns if column.dtype == pl.String]

    def pandera(self) -> pa.DataFrameSchema:
        """The Pandera schema: exact columns in exact order, closed enums, required values and minima."""
        return pa.DataFrameSchema(
            {column.name: _pandera_column(column) for column in self.columns},
            name=self.name,
            description=self.description,
            metadata={"version": self.version, "primary_key": list(self.primary_key)},
            strict=True,
            ordered=True,
        )

    def is_violated(self, frame: pl.DataFrame) -> bool:
        """Whether the frame breaks a rule of ``pandera``: the same rules as one pass of one expression.

        Pandera walks columns one by one, which costs milliseconds on an empty frame and seconds on a large one; it is
        asked only to say what is wrong. A text column may be an ``Enum``.
        """
        given = frame.schema
        coded = {name: kind for name, kind in given.items() if isinstance(kind, pl.Enum)}
        if given != pl.Schema({**self.schema, **{name: coded.get(name, pl.String()) for name in self._texts}}):
            return True
        if any(not _listed(self[name], kind) for name, kind in coded.items()):
            return True
        # What an Enum may hold is known from its list.
        rules = [rule for column in self.columns for rule in _broken(column, closed=column.name in coded)]
        return bool(rules) and bool(frame.select(pl.any_horizontal(rules).any()).item())

    def extended(self, *columns: Column, **changes: object) -> Contract:
        """The same contract with columns appended at the right end."""
        return replace(self, columns=self.columns + columns, **changes)  # type: ignore[arg-type]


def _pandera_column(column: Column) -> pa.Column:
    checks = []
    if column.enum is not None:
        checks.append(pa.Check.isin(list(column.enum)))
    if column.minimum is not None:
        checks.append(pa.Check.ge(column.minimum))
    if column.kind == "ratio":
        # Nullable float columns accept NaN and infinity unless told otherwise.
        checks.append(pa.Check(lambda data: data.lazyframe.select(pl.col(data.key).is_finite()), name="finite"))
    return pa.Column(column.dtype, checks=checks, nullable=not column.required, description=column.description)


def _listed(column: Column, kind: pl.Enum) -> bool:
    return column.enum is None or set(kind.categories) <= set(column.enum)


def _broken(column: Column, *, closed: bool = False) -> list[pl.Expr]:
    """Expressions that are true where a value of the column breaks a rule; null and false where it does not."""
    value = pl.col(column.name)
    rules = [value.is_null()] if column.required else []
    if column.enum is not None and not closed:
        rules.append(~value.is_in(list(column.enum)))
    if column.minimum is not None:
        rules.append(value < column.minimum)
    if column.kind == "ratio":
        rules.append(~value.is_finite())
    return [rule.fill_null(False) for rule in rules]
