"""What docs/reading-exports.md shows runs as it stands over real exports. Spark is in ``test_spark``."""

from __future__ import annotations

from functools import partial

import pytest

from schemas.exports import CSV_FILES, DATASETS
from tests.readers import guide, shop
from tests.readers.engines import HERE, read_here, read_there


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    shop.publish(folder)
    return folder


@pytest.mark.parametrize("engine", guide.TITLES)
def test_the_page_shows_the_module(engine):
    module, _ = guide.shown(engine)
    assert module == guide.module_of(engine), f"copy docs/examples/readers/with_{engine}.py into the page"


@pytest.mark.parametrize("engine", HERE)
def test_the_program_runs(engine, demo, monkeypatch, capsys):
    monkeypatch.chdir(demo)
    exec("\n".join(guide.shown(engine)), {})  # noqa: S102
    printed = capsys.readouterr().out
    # PyArrow prints a table column by column.
    assert guide.says_what_is_there(printed) or (engine == "pyarrow" and '"lapsed_shopper"' in printed), printed


def test_the_program_of_pandas_runs(demo, program):
    printed = program.run_printing(guide.moved_to(demo, "\n".join(guide.shown("pandas"))))
    assert guide.says_what_is_there(printed), printed


@pytest.mark.parametrize("engine", [*HERE, "pandas"])
def test_every_dataset_and_file_is_read_also_where_days_are_empty(engine, demo, request):
    read = (
        partial(read_there, request.getfixturevalue("program"), engine)
        if engine == "pandas"
        else partial(read_here, engine)
    )
    datasets = {name: DATASETS[name] for name in shop.published(demo) if name in DATASETS}
    rows = {name: read("dataset", demo / shop.S3, name, contract.names) for name, contract in datasets.items()}
    rows |= {
        name: read("file", demo / shop.GCS, name, ["date", *contract.names]) for name, contract in CSV_FILES.items()
    }
    filled = {name for name, found in rows.items() if found}
    assert filled > {"cohort_membership", "events", *CSV_FILES}
    assert set(rows) - filled > {"signal_crossings", "cohort_transitions"}
