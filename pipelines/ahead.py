"""Working ahead: the next items of an iterator are made in a thread of their own while the last ones are used.

Beside it what is done behind the back of whoever goes on, and a value that is made by whichever thread needs it first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_END: Any = object()


def ahead(items: Iterator[T], depth: int) -> Iterator[T]:
    """The same items in the same order, up to ``depth`` of them made before they are asked for, from now on.

    An error of the iterator is raised where its item would have been. Whoever stops early waits for one item at most.
    """
    found = _taken(items, depth)
    # Begun here, so that work starts at once, and ends however the iterator is left.
    next(found)
    return found


def _taken(items: Iterator[T], depth: int) -> Iterator[T]:
    """Nothing to begin with, then the items."""
    with ThreadPoolExecutor(1, "ahead") as pool:
        coming = deque(pool.submit(next, items, _END) for _ in range(depth))
        try:
            yield _END
            while (item := coming.popleft().result()) is not _END:
                coming.append(pool.submit(next, items, _END))
                yield item
        finally:
            pool.shutdown(cancel_futures=True)


class Background:
    """Does one thing after another in a thread of its own while its block goes on; waits for them where it ends."""

    def __init__(self, name: str) -> None:
        """Name of the thread."""
        self._pool = ThreadPoolExecutor(1, name)
        self._last: Future[None] | None = None

    def __enter__(self) -> Background:
        """Begin."""
        return self

    def do(self, task: Callable[[], None]) -> None:
        """Begin a task once the one before it is done, whose error is raised here."""
        if self._last:
            self._last.result()
        self._last = self._pool.submit(task)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the last task; its error is raised unless the block itself had one."""
        self._pool.shutdown()
        if self._last and kind is None:
            self._last.result()


class Later(Generic[T]):
    """A value that is made when it is first asked for, once, whichever thread asks."""

    def __init__(self, make: Callable[[], T]) -> None:
        """What makes it."""
        self._make, self._lock = make, Lock()
        self._made: list[T] = []

    def __call__(self) -> T:
        """The value; an error of its making is raised to whoever asks."""
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]
