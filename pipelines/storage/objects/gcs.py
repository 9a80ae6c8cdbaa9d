"""Google Cloud Storage through its own client; ``STORAGE_EMULATOR_HOST`` points it at an emulator."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from pipelines.errors import ConflictError
from pipelines.storage.durable import READ_SIZE
from pipelines.storage.objects.interface import Found, ObjectNotFoundError, below, relative


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
        try:
            self._blob(key).upload_from_string(
                data, content_type=_content_type(key), if_generation_match=0, checksum="crc32c"
            )
        except PreconditionFailed:
            return self.get(key) == data
        return True

    def put(self, key: str, data: bytes | Path) -> None:
        """See ``ObjectStore.put``; replaces the generation that was there, and fails when another came in between."""
        current = self._bucket.get_blob(below(self.prefix, key))
        generation = current.generation if current is not None else 0
        blob = self._blob(key)
        settings = {"content_type": _content_type(key), "if_generation_match": generation, "checksum": "crc32c"}
        try:
            if isinstance(data, Path):
                blob.upload_from_filename(str(data), **settings)
            else:
                blob.upload_from_string(data, **settings)
        except PreconditionFailed:
            raise ConflictError(f"{self.url}/{key}: somebody else wrote it meanwhile; run it again") from None

    def get(self, key: str) -> bytes:
        """See ``ObjectStore.get``."""
        try:
            data: bytes = self._blob(key).download_as_bytes(checksum="crc32c")
        except NotFound:
            raise self._missing(key) from None
        return data

    def chunks(self, key: str) -> Iterator[bytes]:
        """See ``ObjectStore.chunks``."""
        try:
            with self._blob(key).open("rb", chunk_size=8 * READ_SIZE) as file:
                while chunk := file.read(8 * READ_SIZE):
                    yield chunk
        except NotFound:
            raise self._missing(key) from None

    def exists(self, key: str) -> bool:
        """See ``ObjectStore.exists``."""
        return bool(self._blob(key).exists())

    def list(self, prefix: str = "") -> Sequence[str]:
        """See ``ObjectStore.list``."""
        return [found.key for found in self.look(prefix)]

    def look(self, prefix: str = "") -> Sequence[Found]:
        """See ``ObjectStore.look``."""
        root = f"{self.prefix}/{prefix}" if self.prefix else prefix
        blobs = sorted(self._bucket.list_blobs(prefix=root), key=lambda blob: str(blob.name))
        keys = relative(self.prefix, [blob.name for blob in blobs])
        return [
            Found(key, int(blob.size), str(blob.generation), blob.updated)
            for key, blob in zip(keys, blobs, strict=True)
        ]

    def copy(self, key: str, target: str) -> None:
        """See ``ObjectStore.copy``."""
        source, made, token = self._blob(key), self._blob(target), None
        try:
            while True:
                # A large object takes several requests.
                token, _, _ = made.rewrite(source, token=token)
                if token is None:
                    return
        except NotFound:
            raise self._missing(key) from None

    def delete(self, key: str) -> None:
        """See ``ObjectStore.delete``."""
        try:
            self._blob(key).delete()
        except NotFound:
            return

    def _blob(self, key: str) -> Any:
        return self._bucket.blob(below(self.prefix, key))

    def _missing(self, key: str) -> ObjectNotFoundError:
        return ObjectNotFoundError(f"there is no object {key} in {self.url}")


def _content_type(key: str) -> str:
    kinds = {"csv": "text/csv; charset=utf-8", "json": "application/json", "parquet": "application/vnd.apache.parquet"}
    return kinds.get(key.rpartition(".")[2], "application/octet-stream")
