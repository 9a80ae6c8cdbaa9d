"""Who asks AWS: credentials of the environment, or short sessions of a role that asks for an external id."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

from botocore.config import Config
from botocore.credentials import RefreshableCredentials, create_assume_role_refresher
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from pipelines.errors import UsageError
from pipelines.storage.objects.interface import StoreError

#: The shortest that AWS gives. A session that leaks is soon worth nothing.
SESSION_SECONDS = 900
#: A session is replaced this long before it ends, and nothing is asked with one that ends within two minutes.
_ADVISORY, _MANDATORY = 300, 120
_CONFIG = {
    "retries": {"mode": "standard", "total_max_attempts": 5},
    "request_checksum_calculation": "when_supported",
    "response_checksum_validation": "when_supported",
    "connect_timeout": 10,
    "read_timeout": 60,
}


@dataclass(frozen=True)
class Access:
    """How a bucket is reached.

    Attributes:
        role_arn: role to assume; credentials of the environment where it is not given.
        external_id: what the role's trust policy asks for.
        owner: account that the bucket must belong to; by default the role's.
        session: name of the session in the other side's logs.
        policy: what the session may do at most, whatever the role may.
    """

    role_arn: str | None = None
    external_id: str | None = field(default=None, repr=False)
    owner: str | None = None
    session: str = "murmuration"
    policy: dict[str, Any] | None = None

    @property
    def expected_owner(self) -> str | None:
        """Account id for ``x-amz-expected-bucket-owner``."""
        return self.owner or (account_of(self.role_arn) if self.role_arn else None)


def account_of(role_arn: str) -> str:
    """Account of a role.

    Raises:
        UsageError: it is not the name of a role.
    """
    parts = role_arn.split(":")
    if len(parts) != 6 or parts[2] != "iam" or not parts[4].isdigit() or not parts[5].startswith("role/"):
        raise UsageError(f"role_arn {role_arn!r} is not of the form arn:aws:iam::ACCOUNT:role/NAME")
    return parts[4]


def connect(service: str, access: Access) -> Any:
    """A client whose every request names the bucket's owner, and whose sessions are renewed by themselves.

    Raises:
        StoreError: the role cannot be assumed.
    """
    session = Session()
    if access.role_arn:
        refresh = create_assume_role_refresher(_sts(), assume_parameters(access))
        try:
            session._credentials = RefreshableCredentials.create_from_metadata(
                metadata=refresh(),
                refresh_using=refresh,
                method="sts-assume-role",
                advisory_timeout=_ADVISORY,
                mandatory_timeout=_MANDATORY,
            )
        except (ClientError, BotoCoreError) as error:
            raise StoreError(f"role {access.role_arn} cannot be assumed: {error}") from None
    client = session.create_client(
        service, endpoint_url=_endpoint(service), region_name=_region(session), config=Config(**_CONFIG)
    )
    if owner := access.expected_owner:
        client.meta.events.register("before-parameter-build", _naming(owner))
    return client


def assume_parameters(access: Access) -> dict[str, Any]:
    """What is asked of STS."""
    return {
        "RoleArn": access.role_arn,
        "RoleSessionName": access.session,
        "DurationSeconds": SESSION_SECONDS,
        **({"ExternalId": access.external_id} if access.external_id else {}),
        **({"Policy": json.dumps(access.policy, separators=(",", ":"))} if access.policy else {}),
    }


def may_assume(access: Access) -> bool:
    """Whether STS gives a session for the role; false where it is denied.

    Raises:
        StoreError: it neither gives nor denies one.
    """
    try:
        _sts().assume_role(**assume_parameters(access))
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "AccessDenied":
            return False
        raise StoreError(f"asking for role {access.role_arn}: {error}") from None
    except BotoCoreError as error:
        raise StoreError(f"asking for role {access.role_arn}: {error}") from None
    return True


def _sts() -> Any:
    session = Session()
    return session.create_client(
        "sts", endpoint_url=_endpoint("sts"), region_name=_region(session) or "us-east-1", config=Config(**_CONFIG)
    )


def _endpoint(service: str) -> str | None:
    return os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or os.environ.get("AWS_ENDPOINT_URL")


def _region(session: Session) -> str | None:
    region: str | None = session.get_config_variable("region")
    return region


def _naming(owner: str) -> Any:
    def name_owner(params: dict[str, Any], model: Any, **_: Any) -> None:
        members = model.input_shape.members if model.input_shape else {}
        for name in ("ExpectedBucketOwner", "ExpectedSourceBucketOwner"):
            if name in members:
                params.setdefault(name, owner)

    return name_owner
