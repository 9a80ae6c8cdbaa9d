"""The ledger of published contracts: what readers were promised, one file a version, never changed and never removed.

What belongs here: the promise of a contract as plain data, and reading and appending versions. Which changes of a
promise are allowed is decided in ``schemas.compatibility``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from schemas.contract import Column, Contract
from schemas.events import EVENT_TYPES, EventType
from schemas.exports import CSV_FILES, DATASETS

LEDGER = Path(__file__).parent / "ledger"

#: ``parquet``: a dataset on S3; ``csv``: a daily file; ``event``: the data of an event that is sent over HTTP.
Form = Literal["parquet", "csv", "event"]


@dataclass(frozen=True)
class Promise:
    """What a reader may rely on in one version of a contract.

    Attributes:
        name: dataset, file or event type.
        form: how it reaches the reader.
        version: ``major.minor``.
        key: columns that identify a row; none for events.
        columns: in file order; each has ``name``, ``kind``, ``required``, and ``enum``, ``minimum`` or ``nullable``
            where the contract says so.
    """

    name: str
    form: Form
    version: str
    key: tuple[str, ...]
    columns: tuple[Mapping[str, Any], ...]

    @property
    def number(self) -> tuple[int, int]:
        """The version as numbers, for ordering."""
        major, minor = self.version.split(".")
        return int(major), int(minor)

    @property
    def names(self) -> list[str]:
        """Column names in file order."""
        return [column["name"] for column in self.columns]

    def column(self, name: str) -> Mapping[str, Any]:
        """The column of a name.

        Raises:
            KeyError: there is none.
        """
        found = {column["name"]: column for column in self.columns}
        return found[name]


def promises() -> dict[str, Promise]:
    """The promise of every contract as the code has it now, by name."""
    tables = [_of_contract(contract, "parquet") for contract in DATASETS.values()]
    files = [_of_contract(contract, "csv") for contract in CSV_FILES.values()]
    events = [_of_event(kind) for kind in EVENT_TYPES.values()]
    return {promise.name: promise for promise in (*tables, *files, *events)}


def _of_contract(contract: Contract, form: Form) -> Promise:
    columns = tuple(_of_column(column) for column in contract)
    return Promise(contract.name, form, contract.version, contract.primary_key, columns)


def _of_column(column: Column) -> dict[str, Any]:
    promised: dict[str, Any] = {"name": column.name, "kind": column.kind, "required": column.required}
    if column.enum is not None:
        promised["enum"] = sorted(column.enum)
    if column.minimum is not None:
        promised["minimum"] = column.minimum
    return promised


def _of_event(kind: EventType) -> Promise:
    columns = []
    for field in kind.fields:
        promised: dict[str, Any] = {"name": field.name, "kind": field.type, "required": field.required}
        if field.nullable:
            promised["nullable"] = True
        if field.format:
            promised["format"] = field.format
        if field.enum:
            promised["enum"] = sorted(field.enum)
        columns.append(promised)
    return Promise(kind.name, "event", kind.version, (), tuple(columns))


def published(ledger: Path = LEDGER) -> dict[str, list[Promise]]:
    """Every published version by name, oldest first."""
    found: dict[str, list[Promise]] = {}
    for path in ledger.glob("*/*.json"):
        promise = _decode(path.read_text(encoding="utf-8"))
        found.setdefault(promise.name, []).append(promise)
    return {name: sorted(versions, key=lambda promise: promise.number) for name, versions in sorted(found.items())}


def path_of(promise: Promise, ledger: Path = LEDGER) -> Path:
    """Where a version lies in the ledger."""
    return ledger / promise.name / f"{promise.version}.json"


def append(promise: Promise, ledger: Path = LEDGER) -> Path:
    """Write a version into the ledger.

    Raises:
        FileExistsError: the version is there; what was published is never written again.
    """
    path = path_of(promise, ledger)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(encode(promise))
    return path


def encode(promise: Promise) -> str:
    """A version as it lies in the ledger: JSON with a column on each line, so that a change of one shows as one."""
    head = {"name": promise.name, "form": promise.form, "version": promise.version, "key": list(promise.key)}
    lines = ",\n    ".join(json.dumps(column) for column in promise.columns)
    return json.dumps(head, indent=2).removesuffix("\n}") + f',\n  "columns": [\n    {lines}\n  ]\n}}\n'


def _decode(text: str) -> Promise:
    read = json.loads(text)
    return Promise(read["name"], read["form"], read["version"], tuple(read["key"]), tuple(read["columns"]))
