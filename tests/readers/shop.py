"""The exports of a tiny hand-made retailer in the folders of the tenant ``demo``, as the guides name them."""

from __future__ import annotations

from pathlib import Path

from pipelines.config import BucketTarget
from pipelines.exports.steps import campaign_files, parquet_exports
from schemas.exports import CSV_FILES, DATASETS
from tests.exports import retailer

S3 = ".murmur/buckets/s3/demo-exports/murmuration/v1"
GCS = ".murmur/buckets/gcs/demo-campaigns/daily/v1"


def published(folder: Path) -> list[str]:
    """Datasets and files that are below ``folder``; some are published only where such rows are, or on request."""
    found = [name for name in DATASETS if (folder / S3 / name).is_dir()]
    return [*found, *CSV_FILES]


def publish(folder: Path) -> None:
    """Two days of exports below ``folder``: one member, two campaigns."""
    targets = {
        "s3": BucketTarget(bucket="demo-exports", prefix="murmuration"),
        "gcs": BucketTarget(bucket="demo-campaigns", prefix="daily"),
    }
    shop = retailer.tenant(folder / ".murmur", **targets)
    retailer.fill(shop)
    parquet_exports(shop, retailer.DAYS, lambda: retailer.at(11))
    campaign_files(shop, retailer.DAYS, lambda: retailer.at(11))
