"""A folder as an object store: writes survive a power cut, and creating is exclusive through a hard link."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pipelines.storage.durable import READ_SIZE, create_bytes, replacing
from pipelines.storage.objects.interface import Found, ObjectNotFoundError, checked_key, object_sha256


class LocalStore:
    """Objects as files below a folder.

    Args:
        root: the folder; made by the first write.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    @property
    def url(self) -> str:
        """``file://`` URL of the folder."""
        return self.root.absolute().as_uri()

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See ``ObjectStore.put_if_absent``."""
        return create_bytes(self._path(key), data) or self.get(key) == data

    def put(self, key: str, data: bytes | Path) -> None:
        """See ``ObjectStore.put``."""
        with replacing(self._path(key)) as temporary:
            if isinstance(data, Path):
                shutil.copyfile(data, temporary)
            else:
                temporary.write_bytes(data)

    def get(self, key: str) -> bytes:
        """See ``ObjectStore.get``."""
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise ObjectNotFoundError(f"there is no object {key} in {self.url}") from None

    def chunks(self, key: str) -> Iterator[bytes]:
        """See ``ObjectStore.chunks``."""
        path = self._path(key)
        if not path.is_file():
            raise ObjectNotFoundError(f"there is no object {key} in {self.url}")
        with path.open("rb") as file:
            while chunk := file.read(READ_SIZE):
                yield chunk

    def stored_sha256(self, key: str) -> str | None:
        """See ``ObjectStore.stored_sha256``."""
        return object_sha256(self, key)

    def exists(self, key: str) -> bool:
        """See ``ObjectStore.exists``."""
        return self._path(key).is_file()

    def list(self, prefix: str = "") -> Sequence[str]:
        """See ``ObjectStore.list``."""
        # Only the folder that the prefix names is walked; the last part may be the beginning of a name.
        folder = self.root / prefix.rpartition("/")[0]
        found = (path for path in folder.rglob("*") if not _unfinished(path) and path.is_file())
        keys = (path.relative_to(self.root).as_posix() for path in found)
        return sorted(key for key in keys if key.startswith(prefix))

    def look(self, prefix: str = "") -> Sequence[Found]:
        """See ``ObjectStore.look``."""
        found = []
        for key in self.list(prefix):
            path = self._path(key)
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            version = f"{status.st_ino}-{status.st_mtime_ns}"
            modified = datetime.fromtimestamp(status.st_mtime, UTC)
            found.append(Found(key, status.st_size, version, modified, path.is_symlink()))
        return found

    def copy(self, key: str, target: str) -> None:
        """See ``ObjectStore.copy``."""
        if not self.exists(key):
            raise ObjectNotFoundError(f"there is no object {key} in {self.url}")
        self.put(target, self._path(key))

    def delete(self, key: str) -> None:
        """See ``ObjectStore.delete``."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.root / checked_key(key)


def _unfinished(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".tmp")
