"""Referral events that Flock posts: signature checked, stored, then answered. Serving them over HTTP is not here.

Both shapes are taken, and names that nobody knows are kept. They become ``referral_events`` when they land.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.config import Tenant
from pipelines.delivery.receiver import SignatureError, construct_events
from pipelines.errors import UsageError
from pipelines.landing.received import keep

ENTITY = "referral_events"
#: A copy of a body lands as a duplicate, so an old one does no harm; a sender may try again for a day.
MAX_AGE_SECONDS = 24 * 3600
MAX_BYTES = 1 << 20
_HEADER = "x-flock-signature"

Answer = tuple[int, dict[str, Any]]


def referral_secrets(tenant: Tenant, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Secrets that Flock may sign with, the newest first.

    Raises:
        UsageError: ``referrals.secret_env`` of ``tenant.yaml`` is missing, or names a variable that is not set.
    """
    source = tenant.config.referrals
    if source is None:
        raise UsageError(
            f"{tenant.folder / 'tenant.yaml'}: referrals.secret_env: is missing; name the variable that holds "
            "the secret of Flock's webhook"
        )
    names = [source.secret_env, *([source.previous_secret_env] if source.previous_secret_env else [])]
    for name in names:
        if not environment.get(name):
            raise UsageError(f"tenant {tenant.id}: referrals names {name}, which is not set")
    return [environment[name] for name in names]


def receive_referral(
    tenant: Tenant, headers: Mapping[str, str], body: bytes, *, secrets: Sequence[str], now: float | None = None
) -> Answer:
    """Take in one request: status and JSON to answer with.

    Args:
        tenant: whose events.
        headers: of the request, in any case.
        body: exactly as received; an event in shape A or B, or a list of them.
        secrets: any of which may have signed.
        now: seconds since the epoch; the clock where not given.

    Returns:
        200 once the body is on the disk; 401 without a signature, 400 where none fits or it is no event, 413 where it
        is too large.
    """
    if len(body) > MAX_BYTES:
        return 413, {"error": f"A body of at most {MAX_BYTES} bytes is taken"}
    signature = {name.lower(): value for name, value in headers.items()}.get(_HEADER)
    try:
        _verified(secrets, signature, body, now)
    except SignatureError as error:
        return error.status, {"error": str(error)}
    keep(tenant, ENTITY, body)
    return 200, {"received": True}


def _verified(secrets: Sequence[str], signature: str | None, body: bytes, now: float | None) -> list[dict[str, Any]]:
    problem: SignatureError | None = None
    for secret in secrets:
        try:
            return construct_events(secret, signature, body, MAX_AGE_SECONDS, now)
        except SignatureError as error:
            problem = problem or error
    raise problem or SignatureError("There is no secret to check with")
