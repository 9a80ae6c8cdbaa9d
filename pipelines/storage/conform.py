"""What a frame must satisfy before it is published: columns, types, required values, enums, order and a unique key.

The rules are those of a contract (``schemas``); where a frame is published is decided in ``lake`` and in the exports.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date

import pandera.errors
import polars as pl

from pipelines.errors import MurmurError
from schemas.contract import Contract


class ContractError(MurmurError):
    """A frame does not satisfy the contract of its table, so nothing was published."""


def conform(frame: pl.DataFrame, contract: Contract, day: date | None) -> pl.DataFrame:
    """Order columns and rows as the contract says, and check everything that it promises.

    Raises:
        ContractError: with table, column and rule; never with a value.
    """
    if contract.partitioned:
        frame = frame.with_columns(pl.lit(day, dtype=pl.Date).alias("date"))
    missing = [name for name in contract.names if name not in frame.columns]
    extra = [name for name in frame.columns if name not in contract]
    if missing or extra:
        raise ContractError(f"table {contract.name}: missing columns {missing}, unexpected columns {extra}")
    ordered = frame.select(contract.names)
    # To see that rows are in order costs a fraction of sorting them, and then no key can repeat.
    in_order = increases(ordered, contract.primary_key)
    if not in_order:
        ordered = ordered.sort(list(contract.primary_key), nulls_last=True)
    if contract.is_violated(ordered) or not _in_alphabet(ordered):
        raise ContractError(f"table {contract.name}, day {day}: {_violations(ordered, contract)}")
    if not in_order:
        _must_be_unique(ordered, contract, day)
    return ordered


def conform_parts(frames: Iterable[pl.DataFrame], contract: Contract, day: date | None) -> Iterator[pl.DataFrame]:
    """``conform`` for frames that follow each other in the order of the primary key; they are taken one by one.

    Raises:
        ContractError: also where a frame does not begin after the end of the one before.
    """
    last: pl.DataFrame | None = None
    for frame in frames:
        part = conform(frame, contract, day)
        if not part.height:
            continue
        if last is not None and not increases(pl.concat([last, part.head(1)]), contract.primary_key):
            raise ContractError(f"table {contract.name}, day {day}: parts overlap or are not in the order of the key")
        last = part.tail(1)
        yield part


def increases(frame: pl.DataFrame, keys: Sequence[str]) -> bool:
    """Whether each row's key is greater than the one before, nulls last; False for fewer than two rows."""
    if frame.height < 2:
        return False
    less, kinds = pl.lit(False), frame.select(keys).schema
    for name in reversed(keys):
        column = pl.col(name).to_physical() if isinstance(kinds[name], pl.Enum) else pl.col(name)
        before, now = column.shift(1), column
        into_nulls = before.is_not_null() & now.is_null()
        less = (before < now).fill_null(into_nulls) | (before.eq_missing(now) & less)
    return bool(frame.select(less.slice(1).all()).item())


def _in_alphabet(frame: pl.DataFrame) -> bool:
    """Whether the codes of every ``Enum`` are in the order of its texts, as those of a sorted file must be."""
    kinds = [kind for kind in frame.schema.values() if isinstance(kind, pl.Enum)]
    return all(kind.categories.is_sorted() for kind in kinds)


def _must_be_unique(frame: pl.DataFrame, contract: Contract, day: date | None) -> None:
    key = [pl.col(name).eq_missing(pl.col(name).shift(1)) for name in contract.primary_key]
    repeated = frame.select(pl.all_horizontal(key).slice(1).sum()).item() if frame.height > 1 else 0
    if repeated:
        keys = ", ".join(contract.primary_key)
        raise ContractError(f"table {contract.name}, day {day}: {repeated} rows repeat the primary key ({keys})")


def _violations(frame: pl.DataFrame, contract: Contract) -> str:
    """Columns and rules that do not hold, without values."""
    try:
        contract.pandera().validate(frame.cast({pl.Enum: pl.String}), lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases.select("column", "check").unique().sort("column", "check").rows()
        return "; ".join(f"{column}: {check}" for column, check in cases[:5])
    return "the contract and its Pandera form disagree"
