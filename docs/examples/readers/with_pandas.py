"""Read the exports with pandas."""

from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.dataset

DATE = pa.field("date", pa.date32())
DAYS = pyarrow.dataset.partitioning(pa.schema([DATE]), flavor="hive")


def dataset(root: str, name: str, columns: list[str] | None = None) -> pd.DataFrame:
    """All days of a Parquet dataset; numbers stay whole where some are missing."""
    days = pyarrow.dataset.dataset(f"{root}/{name}", format="parquet", partitioning=DAYS)
    schemas = [day.physical_schema.remove_metadata() for day in days.get_fragments()]
    # Permissive, since text is string or large_string, by the writer of a file.
    schema = pa.unify_schemas(schemas, promote_options="permissive")
    return pd.read_parquet(
        f"{root}/{name}", columns=columns, schema=schema.append(DATE), partitioning=DAYS, dtype_backend="pyarrow"
    )


def file(root: str, name: str) -> pd.DataFrame:
    """All days of a CSV file as text, with its day as ``date``; here an empty string is read as null, too."""
    days = [
        pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""]).assign(
            date=date.fromisoformat(path.parent.name.removeprefix("date="))
        )
        for path in sorted(Path(root).glob(f"date=*/{name}.csv"))
    ]
    return pd.concat(days, ignore_index=True)
