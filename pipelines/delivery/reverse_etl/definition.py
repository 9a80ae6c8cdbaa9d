"""A sync as a tenant writes it: ``tenants/<id>/syncs/<sync>.yaml``; its id is the name of the file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from pipelines.config import Strict, Tenant, load_yaml
from pipelines.errors import UsageError
from schemas.registry import LAKE

Mode = Literal["upsert", "update", "insert", "mirror", "append", "delete"]
CHANNELS = ("email", "sms", "push", "post", "phone")


class Model(Strict):
    """Which rows are wanted: a table as it is, or one SELECT over the tables."""

    table: str | None = None
    sql: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Model:
        if (self.table is None) == (self.sql is None):
            raise ValueError("give table or sql, and not both")
        if self.table is not None and self.table not in LAKE:
            raise ValueError(f"there is no table {self.table!r}; tables: {', '.join(sorted(LAKE))}")
        return self

    @property
    def select(self) -> str:
        """The SELECT to run."""
        return self.sql if self.sql is not None else f'SELECT * FROM "{self.table}"'  # noqa: S608


class Suppress(Strict):
    """People who opted out of a channel are left out, as the cohort ``suppressed:<channel>`` says."""

    channel: Literal["email", "sms", "push", "post", "phone"]
    customer: str = Field(description="column of the model that holds the customer's external_id")


class Sync(Strict):
    """One sync."""

    model: Model
    key: tuple[str, ...] = Field(description="columns of the model that name a row; none null, each combination once")
    mapping: dict[str, str] = Field(description="field at the destination: column of the model")
    mode: Mode = "upsert"
    destination: str = Field(description="name of a file in destinations/, without .yaml")
    schedule: str = Field("after_partition", description="after_partition, or cron in the tenant's zone")
    suppress: Suppress | None = None
    batch: int = Field(500, ge=1, le=10_000)
    park_after: int = Field(10, ge=1, description="failures in a row after which a row waits for somebody")

    @field_validator("key", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("key", "mapping")
    @classmethod
    def _some(cls, value: tuple[str, ...] | dict[str, str]) -> tuple[str, ...] | dict[str, str]:
        if not value:
            raise ValueError("name at least one column")
        return value


def sync_ids(tenant: Tenant) -> list[str]:
    """Ids of the tenant's syncs, sorted."""
    return sorted(file.stem for file in (tenant.folder / "syncs").glob("*.yaml"))


def load_sync(tenant: Tenant, sync_id: str) -> Sync:
    """One sync of a tenant.

    Raises:
        UsageError: there is none of that id, or its file is wrong; the message names file and path.
    """
    known = sync_ids(tenant)
    if sync_id not in known:
        listed = ", ".join(known) or "none yet"
        raise UsageError(f"there is no sync {sync_id!r} in {tenant.folder / 'syncs'} (syncs: {listed})")
    return load_yaml(tenant.folder / "syncs" / f"{sync_id}.yaml", Sync)
