"""Object stores behind one small interface: a URL decides between a local folder, S3 and Google Cloud Storage.

What belongs here: moving whole objects, and creating one only if it is not there. What does not: layout, manifests,
formats.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from pipelines.errors import UsageError
from pipelines.storage.objects.interface import (
    Found,
    ObjectNotFoundError,
    ObjectStore,
    StoreError,
    fetch,
    object_sha256,
)
from pipelines.storage.objects.local import LocalStore

__all__ = [
    "Found",
    "LocalStore",
    "ObjectNotFoundError",
    "ObjectStore",
    "StoreError",
    "fetch",
    "object_sha256",
    "open_store",
]


def open_store(
    url: str,
    *,
    role_arn: str | None = None,
    external_id: str | None = None,
    owner: str | None = None,
    session: str = "murmuration",
    policy: dict[str, Any] | None = None,
) -> ObjectStore:
    """The store below a root URL.

    Args:
        url: ``file:///folder``, ``s3://bucket/prefix`` or ``gs://bucket/prefix``.
        role_arn: AWS role to assume before the first request; only for ``s3://``.
        external_id: the external id that the role asks for.
        owner: AWS account that the bucket must belong to; by default the role's.
        session: name of the session in the logs of AWS.
        policy: what a session of the role may do at most.

    Raises:
        UsageError: the scheme is not one of the three, or the bucket is missing.
        StoreError: the role cannot be assumed.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return LocalStore(unquote(parts.path))
    if parts.scheme in ("s3", "gs") and parts.netloc:
        prefix = parts.path.strip("/")
        # The clients take a second to import and most commands never talk to a bucket.
        if parts.scheme == "s3":
            from pipelines.storage.objects.aws import Access
            from pipelines.storage.objects.s3 import S3Store

            return S3Store(parts.netloc, prefix, Access(role_arn, external_id, owner, session, policy))
        from pipelines.storage.objects.gcs import GcsStore

        return GcsStore(parts.netloc, prefix)
    raise UsageError(f"{url!r} is not an object store; use file:///folder, s3://bucket/prefix or gs://bucket/prefix")
