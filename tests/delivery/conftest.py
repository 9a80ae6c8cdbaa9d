"""Control data of its own for each test, on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipelines.config import Workspace
from pipelines.delivery.deliver import Control
from tests.delivery.postgresql import Postgresql, running
from tests.delivery.receivers import FakeClock


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    with running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Kind of the database that ``workspace.control_url`` names, here and in processes that are started."""
    if request.param == "postgresql":
        server: Postgresql = request.getfixturevalue("postgresql")
        server.empty()
        monkeypatch.setenv("MURMUR_CONTROL_URL", server.url)
    return str(request.param)


@pytest.fixture
def control(database: str, workspace: Workspace) -> Iterator[Control]:
    opened = Control.open(workspace, {})
    yield opened
    opened.engine.dispose()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
