"""S3 and what speaks like it, through s3fs. Endpoint and credentials come from the usual ``AWS_*`` variables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from s3fs.core import S3FileSystem

from pipelines.storage.durable import READ_SIZE
from pipelines.storage.objects.interface import Found, ObjectNotFoundError, below, relative

#: S3 takes up to 5 GiB in one PUT; in one piece a replacement is atomic and its ETag is the MD5 of the bytes.
SINGLE_PUT = 64 << 20


class S3Store:
    """Objects of one bucket below a prefix.

    Args:
        bucket: bucket name.
        prefix: key prefix without slashes at its ends.
        role_arn: role to assume for every request.
        external_id: external id that the role's trust policy asks for.
    """

    def __init__(
        self, bucket: str, prefix: str = "", *, role_arn: str | None = None, external_id: str | None = None
    ) -> None:
        self.bucket = bucket
        self.prefix = prefix
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        self._files = S3FileSystem(
            endpoint_url=endpoint,
            use_listings_cache=False,
            skip_instance_cache=True,
            **(assumed_role(role_arn, external_id) if role_arn else {}),
        )

    @property
    def url(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See ``ObjectStore.put_if_absent``; one PUT with ``If-None-Match: *``."""
        try:
            self._files.pipe_file(self._path(key), data, mode="create", chunksize=SINGLE_PUT)
        except OSError:
            # botocore repeats a PUT whose answer was lost and is then refused by its own write; stores also differ in
            # the error they answer with. What is there decides.
            if not self.exists(key):
                raise
            return self.get(key) == data
        return True

    def put(self, key: str, data: bytes | Path) -> None:
        """See ``ObjectStore.put``."""
        if isinstance(data, Path):
            self._files.put_file(str(data), self._path(key), chunksize=SINGLE_PUT)
        else:
            self._files.pipe_file(self._path(key), data, chunksize=SINGLE_PUT)

    def get(self, key: str) -> bytes:
        """See ``ObjectStore.get``."""
        try:
            data: bytes = self._files.cat_file(self._path(key))
        except FileNotFoundError:
            raise self._missing(key) from None
        return data

    def chunks(self, key: str) -> Iterator[bytes]:
        """See ``ObjectStore.chunks``."""
        try:
            with self._files.open(self._path(key), "rb", block_size=8 * READ_SIZE, cache_type="readahead") as file:
                while chunk := file.read(8 * READ_SIZE):
                    yield chunk
        except FileNotFoundError:
            raise self._missing(key) from None

    def exists(self, key: str) -> bool:
        """See ``ObjectStore.exists``."""
        try:
            return bool(self._files.info(self._path(key))["type"] == "file")
        except FileNotFoundError:
            return False

    def list(self, prefix: str = "") -> Sequence[str]:
        """See ``ObjectStore.list``."""
        return [found.key for found in self.look(prefix)]

    def look(self, prefix: str = "") -> Sequence[Found]:
        """See ``ObjectStore.look``."""
        root = f"{self.prefix}/{prefix}" if self.prefix else prefix
        folder = f"{self.bucket}/{root.rpartition('/')[0]}".rstrip("/")
        start = len(self.bucket) + 1
        listed = {str(path)[start:]: about for path, about in self._files.find(folder, detail=True).items()}
        kept = sorted(key for key in listed if key.startswith(root))
        keys = relative(self.prefix, kept)
        return [_found(key, listed[whole]) for key, whole in zip(keys, kept, strict=True)]

    def copy(self, key: str, target: str) -> None:
        """See ``ObjectStore.copy``."""
        try:
            self._files.copy(self._path(key), self._path(target))
        except FileNotFoundError:
            raise self._missing(key) from None

    def delete(self, key: str) -> None:
        """See ``ObjectStore.delete``."""
        # rm_file answers "deleted" for a key that is not there, as S3 does.
        self._files.rm_file(self._path(key))

    def _path(self, key: str) -> str:
        return f"{self.bucket}/{below(self.prefix, key)}"

    def _missing(self, key: str) -> ObjectNotFoundError:
        return ObjectNotFoundError(f"there is no object {key} in {self.url}")


def _found(key: str, about: dict[str, Any]) -> Found:
    return Found(key, int(about["size"]), str(about.get("ETag", "")).strip('"'), about["LastModified"])


def assumed_role(role_arn: str, external_id: str | None) -> dict[str, Any]:
    """Temporary credentials of a role, as arguments of ``S3FileSystem``; they last for an hour."""
    from botocore.session import get_session  # type: ignore[import-untyped]

    endpoint = os.environ.get("AWS_ENDPOINT_URL_STS") or os.environ.get("AWS_ENDPOINT_URL")
    client = get_session().create_client("sts", endpoint_url=endpoint)
    extra = {"ExternalId": external_id} if external_id else {}
    answer = client.assume_role(RoleArn=role_arn, RoleSessionName="murmuration-export", **extra)
    credentials = answer["Credentials"]
    return {
        "key": credentials["AccessKeyId"],
        "secret": credentials["SecretAccessKey"],
        "token": credentials["SessionToken"],
    }
