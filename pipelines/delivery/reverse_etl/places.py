"""Destinations of syncs as a tenant writes them: ``tenants/<id>/destinations/<name>.yaml`` with ``kind: http``.

Secrets are named by the environment's variable and read when a run begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from pipelines.config import Strict, Tenant, load_yaml
from pipelines.delivery.guard import check_url
from pipelines.errors import UsageError


class HttpPlace(Strict):
    """A receiver of rows over HTTP."""

    kind: Literal["http"]
    url: str
    token_env: str | None = Field(None, description="environment variable that holds the bearer token")
    allow_private: bool = False
    description: str = ""


@dataclass(frozen=True)
class Opened:
    """A place with its secret.

    Attributes:
        token: None where it needs none; never shown.
    """

    url: str
    token: str | None
    allow_private: bool


def open_place(tenant: Tenant, name: str, environment: Mapping[str, str], *, development: bool) -> Opened:
    """The place of that name.

    Raises:
        UsageError: there is none, its file is wrong, its URL is not allowed, or its secret is not in the environment.
    """
    file = tenant.folder / "destinations" / f"{name}.yaml"
    if not file.is_file():
        raise UsageError(f"destination {name!r} is not there; write it as {file}, with kind: http and a url")
    place = load_yaml(file, HttpPlace)
    allow_private = place.allow_private or development
    try:
        check_url(place.url, allow_private=allow_private)
    except UsageError as error:
        raise UsageError(f"{file}: url: {error}") from None
    token = environment.get(place.token_env) if place.token_env else None
    if place.token_env and not token:
        raise UsageError(f"{file}: token_env: the environment has no {place.token_env}; set it to the token")
    return Opened(place.url, token, allow_private)
