"""Working ahead: the next items of an iterator are made in a thread of their own while the last ones are used."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
_END: Any = object()


def ahead(items: Iterator[T], depth: int) -> Iterator[T]:
    """The same items in the same order, up to ``depth`` of them made before they are asked for.

    An error of the iterator is raised where its item would have been. Whoever stops early waits for one item at most.
    """
    with ThreadPoolExecutor(1, "ahead") as pool:
        coming = deque(pool.submit(next, items, _END) for _ in range(depth))
        try:
            while (item := coming.popleft().result()) is not _END:
                coming.append(pool.submit(next, items, _END))
                yield item
        finally:
            pool.shutdown(cancel_futures=True)
