"""The readers' environment, started once for the tests that need it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.readers.engines import Program


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Python with pandas, Spark and dbt."""
    running = Program(tmp_path_factory.mktemp("program"))
    yield running
    running.close()


@pytest.fixture(scope="session")
def spark(program: Program) -> Program:
    """The same, with a Spark session under ``spark``."""
    program.start_spark()
    return program
