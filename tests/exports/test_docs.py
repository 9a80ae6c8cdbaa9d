"""What docs/exports.md shows runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest
import yaml

from pipelines.config import BucketTarget, ExportTargets
from pipelines.exports.steps import campaign_files, parquet_exports
from tests.exports import retailer as r

PAGE = Path(__file__).parents[2] / "docs" / "exports.md"


def blocks(language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    return found


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = {
        "s3": BucketTarget(bucket="demo-exports", prefix="murmuration"),
        "gcs": BucketTarget(bucket="demo-campaigns", prefix="daily"),
    }
    shop = r.tenant(tmp_path / ".murmur", **targets)
    r.fill(shop)
    parquet_exports(shop, r.DAYS, lambda: r.at(11))
    campaign_files(shop, r.DAYS, lambda: r.at(11))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("demo")
def test_reading() -> None:
    with duckdb.connect() as connection:
        answers = [connection.execute(block).fetchall() for block in blocks("sql")]
    assert answers[0] == [(r.DAY, "lapsed_shopper", 1)]
    assert answers[1][-1] == ("2026-03-10", "c2", "1", "1", "500")
    assert answers[2] == [("lapsed_shopper", 1)]


def test_the_configuration_is_valid() -> None:
    [block] = blocks("yaml")
    targets = ExportTargets.model_validate(yaml.safe_load(block)["exports"])
    assert targets.s3 is not None
    assert targets.s3.external_id_env == "ACME_EXTERNAL_ID"
