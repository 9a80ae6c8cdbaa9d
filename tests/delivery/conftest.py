"""Control data of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipelines.config import Workspace
from pipelines.delivery.deliver import Control
from tests.delivery.receivers import FakeClock


@pytest.fixture
def control(workspace: Workspace) -> Iterator[Control]:
    opened = Control.open(workspace, {})
    yield opened
    opened.engine.dispose()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
