"""Waiting for control data that are locked or away: said once, tried again ever more slowly, and not for ever."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from pipelines.storage.control.engine import ControlError

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 5.0
LOG = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass
class Patience:
    """How long a worker waits for its database.

    Attributes:
        given_up: asked after each failure with the seconds that it has lasted; true raises it.
    """

    given_up: Callable[[float], bool]
    _since: float | None = field(default=None, init=False)

    async def with_database(self, work: Callable[[], Awaitable[T]]) -> T:
        """What the work returns, however often it takes.

        Raises:
            ControlError: it was given up.
        """
        pause = FIRST_SECONDS
        while True:
            try:
                result = await work()
            except ControlError as error:
                waited = self._waited(error)
                if self.given_up(waited):
                    raise
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_SECONDS)
            else:
                if self._since is not None:
                    LOG.warning("control data are back after %.1f s", time.monotonic() - self._since)
                    self._since = None
                return result

    def _waited(self, error: ControlError) -> float:
        if self._since is None:
            self._since = time.monotonic()
            LOG.warning("%s; waiting for it", error)
        return time.monotonic() - self._since
