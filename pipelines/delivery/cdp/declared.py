"""Platforms that a tenant declares: ``tenants/<id>/destinations/*.yaml`` with ``kind`` segment, rudderstack, ...

What a file says becomes a wish for an endpoint of the outbox; making it is ``destinations``'.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from pipelines.config import Strict
from pipelines.delivery.cdp import mparticle, segment
from pipelines.delivery.cdp.hubs import HUBS
from pipelines.delivery.cdp.track import NAMES
from pipelines.delivery.endpoints import PLATFORM_BATCH, Wish

#: Batches in flight at once.
_AT_ONCE = 4
_SIGNALS = "signal."


class PlatformDestination(Strict):
    """What the files of all platforms have in common."""

    kind: str
    secret_env: str = Field(description="environment variable that holds the credential")
    url: str | None = Field(None, description="scheme and host to send to instead of the platform's own")
    description: str = ""
    traits: bool = Field(False, description="tell each membership as a trait of the visitor as well")
    products: bool = Field(False, description="tell crossings of product signals as well, of flockr:product:<id>")
    cohorts: tuple[str, ...] | None = Field(None, description="only these cohorts")
    signals: tuple[str, ...] | None = Field(None, description="only these signals; needs products")
    filters: dict[str, Any] = Field(default_factory=dict, description="on other fields, as of a webhook")
    names: dict[str, str] = Field(default_factory=dict, description="what people call a cohort, by its id")
    rate: int | None = Field(None, description="events a second at most")
    mode: Literal["live", "sandbox"] = "live"
    allow_private: bool = False
    enabled: bool = True

    @model_validator(mode="after")
    def _signals_are_asked_for(self) -> PlatformDestination:
        if self.signals is not None and not self.products:
            raise ValueError("signals: crossings have no visitor and are told only with products: true")
        return self

    def base(self) -> str:
        """Scheme and host."""
        return (self.url or self.own_base()).rstrip("/")

    def own_base(self) -> str:
        """Scheme and host of the platform itself."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """What ``Hub.items`` is told."""
        return {"traits": "true"} if self.traits else {}

    def wish(self, tenant: str, name: str, *, development: bool) -> Wish:
        """The endpoint that a file asks for."""
        hub = HUBS[self.kind]
        most = min(hub.limits.events, PLATFORM_BATCH)
        narrowed = {"cohort_id": self.cohorts, "signal_id": self.signals}
        return Wish(
            tenant=tenant,
            url=self.base() + hub.path,
            event_types=tuple(kind for kind in NAMES if self.products or not kind.startswith(_SIGNALS)),
            filters={**self.filters, **{key: list(ids) for key, ids in narrowed.items() if ids is not None}},
            description=self.description,
            format=self.kind,
            batch_max=most,
            max_in_flight=min(most * _AT_ONCE, PLATFORM_BATCH),
            rate=self.rate,
            mode=self.mode,
            allow_private=self.allow_private or development,
            declared_in=name,
            settings={**self.settings(), "names": self.names},
        )


class Segment(PlatformDestination):
    """A Segment source; the credential is its write key. The wrong region answers 200 and keeps nothing."""

    kind: Literal["segment"]
    region: Literal["us", "eu"] = "us"

    def own_base(self) -> str:
        """Host of the workspace's region."""
        return segment.SEGMENT_HOSTS[self.region]


class Rudderstack(PlatformDestination):
    """A RudderStack source; the credential is its write key."""

    kind: Literal["rudderstack"]
    url: str = Field(description="data plane")


class Mparticle(PlatformDestination):
    """An mParticle input; the credential is ``key:secret``."""

    kind: Literal["mparticle"]
    pod: Literal["us1", "us2", "eu1", "au1"]
    environment: Literal["production", "development"] = "production"

    def own_base(self) -> str:
        """Host of the account's pod."""
        return mparticle.host(self.pod)

    def settings(self) -> dict[str, Any]:
        """With the environment that the events are of."""
        return {**super().settings(), "environment": self.environment}


class Tealium(PlatformDestination):
    """A Tealium profile; the credential is ``user:key``."""

    kind: Literal["tealium"]
    account: str
    profile: str
    datasource: str
    rate: int | None = 100

    def own_base(self) -> str:
        """Host that gives tokens; each token names the host that takes the events."""
        return "https://platform.tealiumapis.com"

    def settings(self) -> dict[str, Any]:
        """With whose events they are."""
        return {
            **super().settings(),
            "account": self.account,
            "profile": self.profile,
            "datasource": self.datasource,
        }


PLATFORMS: dict[str, type[PlatformDestination]] = {
    "segment": Segment,
    "rudderstack": Rudderstack,
    "mparticle": Mparticle,
    "tealium": Tealium,
}
