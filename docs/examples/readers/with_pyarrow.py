"""Read the exports with PyArrow."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset

DATE = pa.field("date", pa.date32())
DAYS = pyarrow.dataset.partitioning(pa.schema([DATE]), flavor="hive")


def dataset(root: str, name: str) -> pyarrow.dataset.Dataset:
    """All days of a Parquet dataset, with every column that a day has."""
    days = pyarrow.dataset.dataset(f"{root}/{name}", format="parquet", partitioning=DAYS)
    schemas = [day.physical_schema.remove_metadata() for day in days.get_fragments()]
    # Permissive, since text is string or large_string, by the writer of a file.
    schema = pa.unify_schemas(schemas, promote_options="permissive").append(DATE)
    return pyarrow.dataset.dataset(f"{root}/{name}", schema, format="parquet", partitioning=DAYS)


def file(root: str, name: str) -> pa.Table:
    """All days of a CSV file as text, with the day it was published for as ``date``."""
    days = []
    for path in sorted(Path(root).glob(f"date=*/{name}.csv")):
        with path.open(encoding="utf-8") as lines:
            names = lines.readline().rstrip("\n").split(",")
        convert = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
        rows = pyarrow.csv.read_csv(path, parse_options=parse, convert_options=convert)
        day = pa.array([path.parent.name.removeprefix("date=")] * rows.num_rows, pa.string()).cast(pa.date32())
        days.append(rows.append_column(DATE, day))
    return pa.concat_tables(days, promote_options="default")
