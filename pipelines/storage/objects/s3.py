"""S3 and what speaks like it. Endpoint and credentials come from the usual ``AWS_*`` variables, or of an assumed role.

Every object is sent with its sha256, which the store checks, and every request says whose bucket it must be.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from botocore.exceptions import BotoCoreError, ClientError

from pipelines.errors import MurmurError
from pipelines.storage.durable import READ_SIZE
from pipelines.storage.hashing import file_sha256
from pipelines.storage.objects.aws import Access, connect
from pipelines.storage.objects.interface import Found, ObjectNotFoundError, StoreError, below, content_type, relative

#: What one request copies; S3 takes up to 5 GiB.
COPY_PART = 1 << 30
_MISSING = {"NoSuchKey", "404", "NotFound"}


class S3Store:
    """Objects of one bucket below a prefix. Each is sent in one request, so that a replacement is atomic.

    Args:
        bucket: bucket name.
        prefix: key prefix without slashes at its ends.
        access: role to assume, and whose bucket it must be.
    """

    def __init__(self, bucket: str, prefix: str = "", access: Access | None = None) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self._client = connect("s3", access or Access())

    @property
    def url(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See ``ObjectStore.put_if_absent``; one PUT with ``If-None-Match: *``."""
        try:
            self._put(key, data, hashlib.sha256(data).digest(), IfNoneMatch="*")
        except StoreError:
            # A PUT whose answer was lost is sent again and refused by its own first one; stores also differ in the
            # error they answer with. What is there decides.
            if not self.exists(key):
                raise
            return self.get(key) == data
        return True

    def put(self, key: str, data: bytes | Path) -> None:
        """See ``ObjectStore.put``."""
        if isinstance(data, Path):
            digest = bytes.fromhex(file_sha256(data))
            with data.open("rb") as file:
                self._put(key, file, digest)
        else:
            self._put(key, data, hashlib.sha256(data).digest())

    def _put(self, key: str, body: bytes | IO[bytes], digest: bytes, **condition: str) -> None:
        with self._asking(key):
            self._client.put_object(
                **self._at(key),
                Body=body,
                ContentType=content_type(key),
                ChecksumSHA256=base64.b64encode(digest).decode(),
                **condition,
            )

    def get(self, key: str) -> bytes:
        """See ``ObjectStore.get``."""
        return b"".join(self.chunks(key))

    def chunks(self, key: str) -> Iterator[bytes]:
        """See ``ObjectStore.chunks``; the client checks the checksum that the object was sent with."""
        with self._asking(key):
            answer = self._client.get_object(**self._at(key), ChecksumMode="ENABLED")
            yield from answer["Body"].iter_chunks(8 * READ_SIZE)

    def stored_sha256(self, key: str) -> str | None:
        """See ``ObjectStore.stored_sha256``; what the store found when the object came in, if it says so."""
        about = self._head(key)
        if about is None:
            return None
        told = about.get("ChecksumSHA256")
        # The sum of an object of several parts is one of sums; its ETag has their number.
        if told and "-" not in str(about.get("ETag")):
            return base64.b64decode(told).hex()
        digest = hashlib.sha256()
        for chunk in self.chunks(key):
            digest.update(chunk)
        return digest.hexdigest()

    def exists(self, key: str) -> bool:
        """See ``ObjectStore.exists``."""
        return self._head(key) is not None

    def list(self, prefix: str = "") -> Sequence[str]:
        """See ``ObjectStore.list``."""
        return [found.key for found in self.look(prefix)]

    def look(self, prefix: str = "") -> Sequence[Found]:
        """See ``ObjectStore.look``."""
        root = f"{self.prefix}/{prefix}" if self.prefix else prefix
        with self._asking(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=root)
            listed = {about["Key"]: about for page in pages for about in page.get("Contents", [])}
        whole = sorted(key for key in listed if not key.endswith("/"))
        return [_found(key, listed[name]) for key, name in zip(relative(self.prefix, whole), whole, strict=True)]

    def copy(self, key: str, target: str) -> None:
        """See ``ObjectStore.copy``."""
        about = self._head(key)
        if about is None:
            raise self._missing(key)
        source = {"Bucket": self.bucket, "Key": below(self.prefix, key)}
        with self._asking(key):
            if about["ContentLength"] > COPY_PART:
                self._copy_parts(source, target, about["ContentLength"])
                return
            self._client.copy_object(**self._at(target), CopySource=source, ChecksumAlgorithm="SHA256")

    def _copy_parts(self, source: dict[str, str], target: str, size: int) -> None:
        made = self._client.create_multipart_upload(**self._at(target), ChecksumAlgorithm="SHA256")
        place = {**self._at(target), "UploadId": made["UploadId"]}
        try:
            parts = []
            for number, start in enumerate(range(0, size, COPY_PART), start=1):
                piece = f"bytes={start}-{min(start + COPY_PART, size) - 1}"
                answer = self._client.upload_part_copy(
                    **place, CopySource=source, CopySourceRange=piece, PartNumber=number
                )["CopyPartResult"]
                sums = {name: answer[name] for name in ("ETag", "ChecksumSHA256") if name in answer}
                parts.append({"PartNumber": number, **sums})
            self._client.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
        except BaseException:
            self._client.abort_multipart_upload(**place)
            raise

    def delete(self, key: str) -> None:
        """See ``ObjectStore.delete``."""
        with self._asking(key):
            self._client.delete_object(**self._at(key))

    def _at(self, key: str) -> dict[str, Any]:
        return {"Bucket": self.bucket, "Key": below(self.prefix, key)}

    def _head(self, key: str) -> dict[str, Any] | None:
        try:
            with self._asking(key):
                about: dict[str, Any] = self._client.head_object(**self._at(key), ChecksumMode="ENABLED")
        except ObjectNotFoundError:
            return None
        return about

    @contextmanager
    def _asking(self, key: str) -> Iterator[None]:
        """Errors of the client as those of a store."""
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _MISSING:
                raise self._missing(key) from None
            raise StoreError(f"{self.url}/{key}: the store answered {code or 'with an error'}: {error}") from None
        except BotoCoreError as error:
            raise StoreError(f"{self.url}/{key}: {error}") from None

    def _missing(self, key: str) -> MurmurError:
        return ObjectNotFoundError(f"there is no object {key} in {self.url}")


def _found(key: str, about: dict[str, Any]) -> Found:
    return Found(key, int(about["Size"]), str(about.get("ETag", "")).strip('"'), about["LastModified"])
