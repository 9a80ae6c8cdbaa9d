"""What every ingested record carries, whatever its entity, and what an entity adds to that."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from schemas.contract import Column, Contract

#: Ranks decide between versions of one instant: delete over patch over upsert.
OP_RANK: dict[str, int] = {"upsert": 0, "patch": 1, "delete": 2}

SUPPORTED_MAJOR = "1"
MAX_ID_LENGTH = 128
MAX_ATTRIBUTES = 200

ENVELOPE: tuple[Column, ...] = (
    Column(
        "external_id",
        "string",
        required=True,
        description="The caller's id; the only key by which entities refer to each other.",
    ),
    Column(
        "op",
        "string",
        enum=("upsert", "patch", "delete"),
        description="upsert replaces, patch changes what it names, delete is a tombstone.",
    ),
    Column("message_id", "string", description="The sender's id of the message."),
    Column("schema_version", "string", description="Contract version the sender wrote, major.minor."),
    Column("timezone", "string", description="IANA zone for timestamps that carry no offset."),
    Column("attributes", "json", description="Free key-value pairs, at most 200 keys."),
    Column("epoch_unit", "string", enum=("s", "ms"), description="Unit of timestamps that are numbers."),
)


@dataclass(frozen=True)
class Nested:
    """One field of the objects inside a nested array or object.

    Attributes:
        name: key in the object.
        kind: as for ``Column``.
        references: target entity when it is a reference.
        required: an object without it is refused.
        enum: the only values allowed, when closed.
    """

    name: str
    kind: str
    references: str | None = None
    required: bool = False
    enum: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Entity:
    """An ingested entity: its own fields, its ordering instant and its natural key.

    Attributes:
        name: entity name in URLs, files and table names.
        columns: own fields, without the envelope. Nested values are ``json`` and described in ``nested``.
        ordered_by: ``updated_at`` for what changes, otherwise the instant at which it happened.
        dated_by: the instant whose tenant day is the partition; ``ordered_by`` where not given.
        natural_key: for entities without an id of their own, the fields whose hash is the id.
        partitioned: rows belong to the tenant day of ``day_instant``; others are small and kept whole.
        nested: fields of the objects in ``json`` columns; keys that are not listed are dropped at the door.
        derived: columns that the split adds in place of personal ones.
        aliases: other keys under which a sender may name a column, as (key, column).
    """

    name: str
    columns: tuple[Column, ...]
    ordered_by: str
    dated_by: str = ""
    natural_key: tuple[str, ...] = ()
    partitioned: bool = False
    nested: tuple[tuple[str, tuple[Nested, ...]], ...] = ()
    derived: tuple[Column, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    description: str = ""

    @property
    def received(self) -> tuple[Column, ...]:
        """Every column that a sender may fill: envelope first, then own fields."""
        return ENVELOPE + self.columns

    @property
    def day_instant(self) -> str:
        """The column whose tenant day a row belongs to."""
        return self.dated_by or self.ordered_by

    @property
    def personal(self) -> tuple[str, ...]:
        """Names of the fields that go to the vault and nowhere else."""
        return tuple(column.name for column in self.columns if column.personal)

    @property
    def stored(self) -> tuple[Column, ...]:
        """Columns that remain after the split, without the transport fields of the envelope."""
        kept = tuple(column for column in self.columns if not column.personal)
        envelope = tuple(c for c in ENVELOPE if c.name in ("external_id", "attributes"))
        return envelope + kept + self.derived

    @property
    def contract(self) -> Contract:
        """Latest version of each id: the table ``<entity>``; ``date`` first where partitioned."""
        date = (
            (Column("date", "date", required=True, description="Tenant day of the record."),)
            if self.partitioned
            else ()
        )
        return Contract(
            name=self.name,
            columns=date + tuple(_nullable(column) for column in self.stored),
            primary_key=(*(("date",) if self.partitioned else ()), "external_id"),
            partitioned=self.partitioned,
            description=self.description,
        )

    @property
    def history_contract(self) -> Contract:
        """Every version of each id, folded, in valid time: the table ``<entity>_history``."""
        return Contract(
            name=f"{self.name}_history",
            columns=(
                *(_nullable(column) for column in self.stored),
                Column("effective_from", "timestamp", required=True, description="The version's instant."),
                Column("effective_to", "timestamp", description="Instant of the next version; null for the newest."),
                Column("is_deleted", "boolean", required=True, description="The version is a tombstone."),
                Column("version_hash", "string", required=True, description="sha256 of the canonical typed record."),
            ),
            primary_key=("external_id", "effective_from", "version_hash"),
            partitioned=False,
            description=f"Versions of {self.name} in valid time.",
        )

    def nested_fields(self, column: str) -> tuple[Nested, ...]:
        """Fields of the objects in one ``json`` column; empty for free-form values."""
        return dict(self.nested).get(column, ())

    @property
    def references(self) -> list[tuple[str, str, str | None]]:
        """Every reference as (column, target entity, key inside the nested objects or null)."""
        own = [(c.name, c.references, None) for c in self.columns if c.references]
        inner = [(name, n.references, n.name) for name, fields in self.nested for n in fields if n.references]
        return [(column, target, key) for column, target, key in [*own, *inner] if target]

    def schema(self) -> pl.Schema:
        """Polars schema of the stored columns."""
        return pl.Schema({column.name: column.dtype for column in self.stored})


def _nullable(column: Column) -> Column:
    """Latest rows are folds of patches, so only the id is certain to be there."""
    if column.name == "external_id":
        return column
    return Column(
        column.name, column.kind, False, column.enum, column.references, False, None, column.description, column.since
    )
