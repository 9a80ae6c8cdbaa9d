"""Read the exports with DuckDB."""

import duckdb

duckdb.sql("SET timezone = 'UTC'")


def dataset(root: str, name: str) -> duckdb.DuckDBPyRelation:
    """All days of a Parquet dataset; ``root`` is a folder or an ``s3://`` URL that ends in ``/v1``."""
    return duckdb.sql(f"""
        FROM read_parquet('{root}/{name}/date=*/part-*.parquet', hive_partitioning = true, union_by_name = true)
    """)


def file(root: str, name: str) -> duckdb.DuckDBPyRelation:
    """All days of a CSV file as text, with the day it was published for as ``date``."""
    return duckdb.sql(f"""
        FROM read_csv('{root}/date=*/{name}.csv', hive_partitioning = true, union_by_name = true,
                      header = true, all_varchar = true, allow_quoted_nulls = false,
                      delim = ',', quote = '"', escape = '"', new_line = '\\n')
    """)
