"""Every reader meets a change that is not allowed as ``murmur schema check`` says. Spark is in ``test_spark``."""

from __future__ import annotations

from functools import partial

import pytest

from tests.readers.breaking import STEPS, watch
from tests.readers.engines import HERE, read_here, read_there


@pytest.mark.parametrize("engine", [*HERE, "pandas"])
@pytest.mark.parametrize("change", STEPS)
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_reader_breaks_as_it_is_said(form, change, engine, tmp_path, request):
    if engine == "pandas":
        read = partial(read_there, request.getfixturevalue("program"), engine)
    else:
        read = partial(read_here, engine)
    watch(tmp_path, form, change, engine, read)
