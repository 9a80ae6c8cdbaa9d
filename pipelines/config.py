"""Configuration: environment and tenant files become typed objects. Nothing is read at import.

``MURMUR_HOME`` (default ``.murmur``) holds lake, landing, vault, control data and local buckets; ``MURMUR_TENANTS``
(default ``tenants``) holds one folder a tenant. Secrets come only from environment variables that a file names.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipelines.calendar import FIRST_DAY, LAST_DAY, known_zone
from pipelines.errors import UsageError
from pipelines.storage.lake import Lake
from schemas.entities import ENTITIES

Model = TypeVar("Model", bound=BaseModel)

TENANT_ID = re.compile(r"^[a-z][a-z0-9_-]{0,62}$")


class Strict(BaseModel):
    """A configuration object that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BucketTarget(Strict):
    """Where a kind of export goes: a bucket with a prefix, or a whole URL."""

    bucket: str
    prefix: str = ""
    url: str | None = Field(default=None, description="file://, s3:// or gs:// root; the local bucket where not given")
    role_arn: str | None = None
    external_id_env: str | None = Field(default=None, description="environment variable that holds the external id")
    owner: str | None = Field(
        default=None, pattern=r"^\d{12}$", description="AWS account of the bucket; the role's where not given"
    )

    @model_validator(mode="after")
    def _role_asks_for_an_external_id(self) -> BucketTarget:
        if self.role_arn and not self.external_id_env:
            raise ValueError("a role is assumed with an external id; name the variable that holds it: external_id_env")
        return self


class AlertWebhook(Strict):
    """Where a line of JSON is posted when exports are late."""

    url_env: str = Field(description="environment variable that holds the URL, which may hold a token")
    minutes_before: int = Field(default=15, ge=1, le=720, description="how long before the promise")


class ExportTargets(Strict):
    """Export destinations of a tenant."""

    s3: BucketTarget | None = None
    gcs: BucketTarget | None = None
    keep_revisions_days: int = Field(default=90, ge=1, description="how long superseded revisions are kept")
    schedule: str | None = Field(
        default=None,
        description="cron, in the tenant's zone, of exports alone; after each partition where not given",
    )
    alert: AlertWebhook | None = Field(default=None, description="who is told what is missing before the promise")
    identity_links: bool = Field(default=False, description="publish which visitor is which customer, ids only")
    promised_by: str = Field(default="04:00", pattern=r"^\d\d:\d\d$", description="local time of the next day")


class InboxSource(Strict):
    """A place where files for a tenant are dropped, ``<entity>/<file>`` below it."""

    url: str = Field(description="file://, s3:// or gs:// root")
    role_arn: str | None = None
    external_id_env: str | None = Field(default=None, description="environment variable that holds the external id")
    after: Literal["keep", "move", "delete"] = Field(
        default="keep", description="what becomes of an object that landed; moved ones go below _landed/"
    )


#: Types of promoted attributes.
AttributeKind = Literal["string", "int64", "number", "boolean", "date", "timestamp"]
_ATTRIBUTE = re.compile(r"^[A-Za-z_][A-Za-z0-9_ .:-]{0,63}$")


class References(Strict):
    """When a row that names an entity which has not arrived becomes worth a warning."""

    max_age_days: int = Field(default=7, ge=0, description="days of data, counted from the row's first version")


class ReferralSource(Strict):
    """How referral events are posted to this tenant."""

    secret_env: str = Field(description="environment variable that holds the secret which they are signed with")
    previous_secret_env: str | None = Field(default=None, description="likewise, while a secret is exchanged")


class Change(Strict):
    """When the present definition of a cohort begins to count."""

    active_from: date | None = Field(default=None, description="the day after the newest computed one by default")
    announce: bool = Field(default=False, description="send who enters and leaves because of the change")


class TenantConfig(Strict):
    """``tenant.yaml``."""

    id: str
    timezone: str
    currency: str = Field(default="GBP", pattern=r"^[A-Z]{3}$")
    country: str | None = Field(
        default=None,
        pattern=r"^[A-Z]{2}$",
        description="where phone numbers without a country code belong; of the zone",
    )
    exports: ExportTargets = ExportTargets()
    inbox: tuple[InboxSource, ...] = Field(default=(), description="URLs; inbox/<tenant> under home by default")
    references: References = References()
    referrals: ReferralSource | None = Field(default=None, description="referral events that are posted here")
    schedule: str = Field(default="30 1 * * *", description="cron, in the tenant's zone")
    webhook_retention_days: int = Field(
        default=30,
        ge=2,
        description="how long deliveries that ended, and their attempts, can be looked at and replayed",
    )
    raw_retention_days: int = Field(default=90, ge=1, description="how long received bytes stay in the vault")
    vault_key: Literal["file", "required"] = Field(
        default="file",
        description="required: nothing lands without MURMUR_VAULT_KEY; file: else a key is made below home",
    )
    public_host: str = "murmuration.example"
    first_day: date = Field(
        default=date(2000, 1, 1), ge=FIRST_DAY, description="events, orders and stock of earlier days are refused"
    )
    last_day: date = Field(default=LAST_DAY, le=LAST_DAY, description="and those of later days")
    longest_gap_days: int = Field(
        default=366, ge=1, description="days without any such row, beyond which the fewer days are not computed"
    )
    max_quarantined_percent: int = Field(
        default=5, ge=0, le=100, description="a check warns when more of the newest days' rows are refused"
    )
    attributes: dict[str, dict[str, AttributeKind]] = Field(
        default_factory=dict, description="by entity, keys of attributes that are columns of their own in queries"
    )
    parameters: dict[str, dict[str, Any]] = Field(default_factory=dict, description="overrides by cohort or signal id")
    definitions: dict[str, Change] = Field(default_factory=dict, description="by cohort, when a change counts")

    @field_validator("inbox", mode="before")
    @classmethod
    def _urls(cls, value: Any) -> Any:
        listed = [value] if isinstance(value, str | dict) else value
        return [{"url": each} if isinstance(each, str) else each for each in listed or []]

    @field_validator("inbox")
    @classmethod
    def _each_once(cls, value: tuple[InboxSource, ...]) -> tuple[InboxSource, ...]:
        urls = [source.url.rstrip("/") for source in value]
        twice = [url for url in urls if urls.count(url) > 1]
        if twice:
            raise ValueError(f"{twice[0]} is listed twice; list it once")
        return value

    @field_validator("attributes")
    @classmethod
    def _promotable(cls, value: dict[str, dict[str, AttributeKind]]) -> dict[str, dict[str, AttributeKind]]:
        for name, keys in value.items():
            if name not in ENTITIES:
                raise ValueError(f"there is no entity {name!r}; entities: {', '.join(ENTITIES)}")
            entity = ENTITIES[name]
            # SQL tells no capitals apart in names of columns.
            taken = {*entity.contract.names, *entity.history_contract.names, "date", "op", "patch_fields"}
            for key in keys:
                if not _ATTRIBUTE.match(key):
                    raise ValueError(
                        f"{name}: {key!r} cannot name a column; begin with a letter, use letters and digits"
                    )
                if key.lower() in taken:
                    raise ValueError(f"{name}: {key!r} is a column already; leave it out")
                taken.add(key.lower())
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if not known_zone(value):
            raise ValueError(f"{value!r} is not an IANA time zone, such as Europe/London")
        return value


@dataclass(frozen=True)
class Tenant:
    """One tenant at run time: its configuration and where its data lives."""

    config: TenantConfig
    home: Path
    folder: Path

    @property
    def id(self) -> str:
        """Tenant id, the first part of every path and asset key."""
        return self.config.id

    @cached_property
    def zone(self) -> ZoneInfo:
        """The zone whose calendar days are the partitions."""
        return ZoneInfo(self.config.timezone)

    @cached_property
    def lake(self) -> Lake:
        """The tenant's Delta tables."""
        return Lake(self.home / "lake" / self.id)

    @property
    def landing(self) -> Path:
        """Batches after the split, ``<entity>/<sha256>.parquet`` with a receipt beside each."""
        return self.home / "landing" / self.id

    @property
    def inbox(self) -> Path:
        """Where files may be dropped, ``<entity>/<file>``."""
        return self.home / "inbox" / self.id

    @property
    def inbox_urls(self) -> tuple[str, ...]:
        """Root URLs of the inboxes without a trailing slash, ``inbox`` where none is configured."""
        urls = [source.url for source in self.config.inbox] or [self.inbox.absolute().as_uri()]
        return tuple(url.rstrip("/") for url in urls)

    @property
    def vault(self) -> Path:
        """Encrypted contact details and received bytes, in their own root; never read by analytics."""
        return Path(os.environ.get("MURMUR_VAULT") or self.home / "vault").expanduser().absolute() / self.id

    @property
    def state(self) -> Path:
        """Rebuildable state between days, named by the content of its inputs."""
        return self.home / "state" / self.id

    def bucket_url(self, kind: Literal["s3", "gcs"]) -> str | None:
        """Root URL of an export destination without a trailing slash; None when the tenant has none."""
        target: BucketTarget | None = getattr(self.config.exports, kind)
        if target is None:
            return None
        local = (self.home / "buckets" / kind / target.bucket).absolute().as_uri()
        root = (target.url or local).rstrip("/")
        return f"{root}/{target.prefix.strip('/')}" if target.prefix.strip("/") else root


@dataclass(frozen=True)
class Workspace:
    """Home folder and tenant folder of one installation."""

    home: Path
    tenants: Path

    @classmethod
    def from_environment(cls, home: str | None = None, tenants: str | None = None) -> Workspace:
        """Explicit arguments first, then ``MURMUR_HOME`` and ``MURMUR_TENANTS``, then the defaults."""
        return cls(
            Path(home or os.environ.get("MURMUR_HOME") or ".murmur").expanduser().absolute(),
            Path(tenants or os.environ.get("MURMUR_TENANTS") or "tenants").expanduser().absolute(),
        )

    @property
    def control_url(self) -> str:
        """SQLAlchemy URL of the control data; ``MURMUR_CONTROL_URL`` or SQLite under home."""
        return os.environ.get("MURMUR_CONTROL_URL") or f"sqlite:///{self.home / 'control.db'}"

    def tenant_ids(self) -> list[str]:
        """Ids of all tenants that have a folder, sorted."""
        return sorted(path.parent.name for path in self.tenants.glob("*/tenant.yaml"))

    def tenant(self, tenant_id: str) -> Tenant:
        """Load one tenant.

        Raises:
            UsageError: there is no such tenant, or its file is wrong; the message names file and path.
        """
        folder = self.tenants / tenant_id
        file = folder / "tenant.yaml"
        if not TENANT_ID.match(tenant_id) or not file.is_file():
            known = ", ".join(self.tenant_ids()) or "none yet"
            raise UsageError(
                f"tenant {tenant_id!r} is not there (tenants: {known}); "
                f"add it with: murmur tenant add {tenant_id} --timezone ZONE"
            )
        config = load_yaml(file, TenantConfig)
        if config.id != tenant_id:
            raise UsageError(f"{file}: id: is {config.id!r} but the folder is {tenant_id!r}; make them equal")
        tenant = Tenant(config, self.home, folder)
        self._refuse_shared_inboxes(tenant, file)
        return tenant

    def _refuse_shared_inboxes(self, tenant: Tenant, file: Path) -> None:
        """Records carry no tenant, so what is dropped into a shared inbox would land for each of its tenants."""
        own = set(tenant.inbox_urls)
        for other in self.tenant_ids() if tenant.config.inbox else ():
            path = self.tenants / other / "tenant.yaml"
            shared = own.intersection(_inbox_urls(self, path, path.stat().st_mtime_ns)) if other != tenant.id else ()
            if shared:
                where = f"{min(shared)} is an inbox of tenant {other!r} too"
                raise UsageError(f"{file}: inbox: {where}; give each tenant a prefix of its own")


@lru_cache(maxsize=4096)
def _inbox_urls(workspace: Workspace, file: Path, _written: int) -> tuple[str, ...]:
    try:
        config = load_yaml(file, TenantConfig)
    except UsageError:
        # Whoever uses that tenant is told what is wrong there.
        return ()
    return Tenant(config, workspace.home, file.parent).inbox_urls


def load_yaml(file: Path, model: type[Model]) -> Model:
    """Read a YAML file into a model.

    Raises:
        UsageError: with the file, the path inside it and what is wrong there.
    """
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        raise UsageError(f"{file}{where}: is not YAML: {getattr(error, 'problem', error)}") from None
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"]) or "(top)"
        raise UsageError(f"{file}: {path}: {first['msg']}") from None
