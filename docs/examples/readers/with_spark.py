"""Read the exports with Spark."""

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession


def dataset(spark: SparkSession, root: str, name: str) -> DataFrame:
    """All days of a Parquet dataset, with every column that a day has."""
    return spark.read.option("mergeSchema", "true").parquet(f"{root}/{name}")


def file(spark: SparkSession, root: str, name: str) -> DataFrame:
    """All days of a CSV file as text, with the day it was published for as ``date``.

    Spark reads CSV by position: the columns are those of the longest header, shorter rows have null at the right end.
    """
    paths = sorted(Path(root).glob(f"date=*/{name}.csv"))
    headers = []
    for path in paths:
        with path.open(encoding="utf-8") as lines:
            headers.append(lines.readline().rstrip("\n").split(","))
    schema = ", ".join(f"`{column}` STRING" for column in max(headers, key=len))
    options = {"header": "true", "multiLine": "true", "escape": '"', "lineSep": "\n", "basePath": root}
    # Any text that no cell is: an empty cell stands for it and is null, and an empty string stays one.
    options["nullValue"] = "\0"
    return spark.read.options(**options).schema(f"{schema}, date DATE").csv([str(path) for path in paths])
