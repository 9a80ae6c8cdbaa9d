"""Google Cloud Storage through its own client; ``STORAGE_EMULATOR_HOST`` points it at an emulator."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import google_crc32c
from google.api_core.exceptions import GoogleAPIError, NotFound, PreconditionFailed
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY
from requests.exceptions import RequestException

from pipelines.errors import ConflictError
from pipelines.storage.durable import READ_SIZE
from pipelines.storage.objects.interface import (
    Found,
    ObjectNotFoundError,
    StoreError,
    below,
    content_type,
    object_sha256,
    relative,
)

#: Larger uploads are resumable sessions of such pieces, and downloads come in them.
CHUNK = 8 << 20
#: Sessions that are begun for one upload.
ATTEMPTS = 3
#: Preconditions make every request safe to repeat.
RETRY = DEFAULT_RETRY.with_delay(initial=0.2, multiplier=2.0, maximum=10.0).with_timeout(60.0)
_FAILURES = (GoogleAPIError, RequestException, DataCorruption, InvalidResponse, ValueError)


class GcsStore:
    """Objects of one bucket below a prefix.

    Args:
        bucket: bucket name.
        prefix: key prefix without slashes at its ends.
    """

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self.prefix = prefix
        self._name = bucket
        if os.environ.get("STORAGE_EMULATOR_HOST"):
            client = storage.Client(project="emulated", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
        else:
            client = storage.Client()  # type: ignore[no-untyped-call]
        self._bucket: Any = client.bucket(bucket)  # type: ignore[no-untyped-call]

    @property
    def url(self) -> str:
        """``gs://bucket/prefix``."""
        return f"gs://{self._name}/{self.prefix}".rstrip("/")

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See ``ObjectStore.put_if_absent``; one upload with ``ifGenerationMatch=0`` and its crc32c."""
        return self._upload(key, lambda: io.BytesIO(data), 0)

    def put(self, key: str, data: bytes | Path) -> None:
        """See ``ObjectStore.put``; replaces the generation that was there, and fails when another came in between."""
        with self._asking(key):
            current = self._bucket.get_blob(below(self.prefix, key), retry=RETRY)
        generation = current.generation if current is not None else 0
        opened = (lambda: data.open("rb")) if isinstance(data, Path) else (lambda: io.BytesIO(data))
        if not self._upload(key, opened, generation):
            raise ConflictError(f"{self.url}/{key}: somebody else wrote it meanwhile; run it again")

    def _upload(self, key: str, opened: Callable[[], IO[bytes]], generation: int) -> bool:
        """Whether the object now has these bytes; false where another generation stands there with others."""
        with opened() as file:
            checksum, size = _crc32c(file)
        for attempt in range(1, ATTEMPTS + 1):
            blob = self._blob(key, chunk_size=CHUNK)
            # Told beforehand, so that the store refuses other bytes instead of keeping them.
            blob.crc32c = checksum
            try:
                with self._asking(key), opened() as file:
                    blob.upload_from_file(
                        file,
                        size=size,
                        content_type=content_type(key),
                        if_generation_match=generation,
                        checksum="crc32c",
                        retry=RETRY,
                    )
            except PreconditionFailed:
                # An upload whose answer was lost is refused by its own first one.
                return self._holds(key, checksum, size)
            except StoreError:
                # A session that was cut off in the middle of a piece cannot always be taken up again.
                if attempt == ATTEMPTS:
                    raise
            else:
                return True
        raise AssertionError("unreachable")

    def _holds(self, key: str, checksum: str, size: int) -> bool:
        with self._asking(key):
            found = self._bucket.get_blob(below(self.prefix, key), retry=RETRY)
        return found is not None and (found.crc32c, found.size) == (checksum, size)

    def get(self, key: str) -> bytes:
        """See ``ObjectStore.get``."""
        return b"".join(self.chunks(key))

    def chunks(self, key: str) -> Iterator[bytes]:
        """See ``ObjectStore.chunks``; one generation, whose crc32c is checked at the end."""
        with self._asking(key):
            blob = self._bucket.get_blob(below(self.prefix, key), retry=RETRY)
            if blob is None:
                raise self._missing(key)
            seen = google_crc32c.Checksum()
            for start in range(0, blob.size, CHUNK):
                piece = blob.download_as_bytes(
                    start=start, end=start + CHUNK - 1, if_generation_match=blob.generation, checksum=None, retry=RETRY
                )
                seen.update(piece)
                yield piece
        if base64.b64encode(seen.digest()).decode() != blob.crc32c:
            raise StoreError(f"{self.url}/{key}: did not arrive as it is stored (crc32c)")

    def stored_sha256(self, key: str) -> str | None:
        """See ``ObjectStore.stored_sha256``; read back, since the store keeps no sha256."""
        return object_sha256(self, key)

    def exists(self, key: str) -> bool:
        """See ``ObjectStore.exists``."""
        with self._asking(key):
            return bool(self._blob(key).exists(retry=RETRY))

    def list(self, prefix: str = "") -> Sequence[str]:
        """See ``ObjectStore.list``."""
        return [found.key for found in self.look(prefix)]

    def look(self, prefix: str = "") -> Sequence[Found]:
        """See ``ObjectStore.look``."""
        root = f"{self.prefix}/{prefix}" if self.prefix else prefix
        with self._asking(prefix):
            blobs = sorted(self._bucket.list_blobs(prefix=root, retry=RETRY), key=lambda blob: str(blob.name))
        keys = relative(self.prefix, [blob.name for blob in blobs])
        return [
            Found(key, int(blob.size), str(blob.generation), blob.updated)
            for key, blob in zip(keys, blobs, strict=True)
        ]

    def copy(self, key: str, target: str) -> None:
        """See ``ObjectStore.copy``."""
        with self._asking(target):
            current = self._bucket.get_blob(below(self.prefix, target), retry=RETRY)
        generation = current.generation if current is not None else 0
        source, made, token = self._blob(key), self._blob(target), None
        try:
            while True:
                # A large object takes several requests.
                with self._asking(key):
                    token, _, _ = made.rewrite(source, token=token, if_generation_match=generation, retry=RETRY)
                if token is None:
                    return
        except PreconditionFailed:
            raise ConflictError(f"{self.url}/{target}: somebody else wrote it meanwhile; run it again") from None

    def delete(self, key: str) -> None:
        """See ``ObjectStore.delete``."""
        with suppress(ObjectNotFoundError), self._asking(key):
            self._blob(key).delete(retry=RETRY)

    @contextmanager
    def _asking(self, key: str) -> Iterator[None]:
        """Errors of the client as those of a store; a precondition that fails is for who asked."""
        try:
            yield
        except PreconditionFailed:
            raise
        except NotFound:
            raise self._missing(key) from None
        except _FAILURES as error:
            raise StoreError(f"{self.url}/{key}: {type(error).__name__}: {str(error)[:200]}") from None

    def _blob(self, key: str, **how: Any) -> Any:
        return self._bucket.blob(below(self.prefix, key), **how)

    def _missing(self, key: str) -> ObjectNotFoundError:
        return ObjectNotFoundError(f"there is no object {key} in {self.url}")


def _crc32c(file: IO[bytes]) -> tuple[str, int]:
    """crc32c as the store writes it, and size."""
    seen, size = google_crc32c.Checksum(), 0
    while piece := file.read(READ_SIZE):
        seen.update(piece)
        size += len(piece)
    return base64.b64encode(seen.digest()).decode(), size
