"""Read the exports with Polars."""

from pathlib import Path

import polars as pl


def dataset(root: str, name: str, schema: dict[str, pl.DataType] | None = None) -> pl.LazyFrame:
    """All days of a Parquet dataset, with the columns of its newest day or those of ``schema``."""
    days = f"{root}/{name}/date=*/part-*.parquet"
    options = {
        "missing_columns": "insert",  # in days that an older version wrote
        "extra_columns": "ignore",  # in days that a newer version wrote
        "hive_partitioning": True,
        "hive_schema": {"date": pl.Date},
    }
    newest = pl.scan_parquet(days, include_file_paths="path", **options).select(pl.max("path")).collect().item()
    if schema is None and newest is not None:
        schema = pl.read_parquet_schema(newest)
    return pl.scan_parquet(days, schema=schema, **options)


def file(root: str, name: str) -> pl.LazyFrame:
    """All days of a CSV file as text, with the day it was published for as ``date``."""
    days = [
        pl.scan_csv(path, infer_schema=False).with_columns(
            pl.lit(path.parent.name.removeprefix("date=")).str.to_date().alias("date")
        )
        for path in sorted(Path(root).glob(f"date=*/{name}.csv"))
    ]
    return pl.concat(days, how="diagonal")
