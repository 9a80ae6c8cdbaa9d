"""Who reads what is published, and how each reader meets a change that a contract does not allow.

What is said of DuckDB, Polars, PyArrow, pandas and Spark is how they behave with the options of
``docs/examples/readers``; tests make each change and watch them.
"""

from __future__ import annotations

from typing import Literal

Change = Literal[
    "removed",
    "renamed",
    "retyped",
    "reinterpreted",
    "reordered",
    "inserted",
    "required",
    "nullable",
    "narrowed",
    "key",
]

#: Readers of columns by name, in which the tests make every change.
BY_NAME = ("duckdb", "polars", "pyarrow", "pandas", "spark")
#: Whoever takes the n-th column: COPY without a header, UNION ALL, INSERT ... SELECT *, a spreadsheet's formulas.
BY_POSITION = "by position"

NULL = "null in newer days, without an error; fails once no older day is left"
FAILS_LACKING = "fails as soon as the newest day lacks it"
FAILS_MIXED = "fails where days of both versions are read"
CAST = "casts all days to one type, without an error; what compares or adds them changes"
CAST_FAILS = "reads as text; casting to the type it had fails or is wrong"
SHIFTED = "every column from there on holds another column's cells, without an error"
MEANING = "reads on, and takes the values for what they were"
NOT_NULL = "a column declared NOT NULL or REQUIRED, or a not_null test, refuses rows"
LISTED = "an accepted_values test, a categorical or a CHECK by the new list refuses older rows"
MERGED = "a MERGE, an upsert or a unique test by the old key writes over rows or doubles them"
ABSENT = "code that expects the field fails on events without it"
DECODED = "typed code fails to decode the event"

WAREHOUSE = "snowflake, bigquery, dbt"
REVERSE_ETL = "hightouch, fivetran activations"
RECEIVER = "receiver"

_EVERYBODY = {"every reader": MEANING}
_PARQUET: dict[Change, dict[str, str]] = {
    "removed": {**dict.fromkeys(BY_NAME, NULL), "polars": FAILS_LACKING, BY_POSITION: SHIFTED},
    "renamed": {**dict.fromkeys(BY_NAME, NULL), "polars": FAILS_LACKING},
    "retyped": {**dict.fromkeys(BY_NAME, FAILS_MIXED), "duckdb": CAST},
    "reinterpreted": _EVERYBODY,
    "reordered": {BY_POSITION: SHIFTED},
    "inserted": {BY_POSITION: SHIFTED},
    "required": {WAREHOUSE: NOT_NULL},
    "nullable": {WAREHOUSE: NOT_NULL},
    "narrowed": {WAREHOUSE: LISTED},
    "key": {WAREHOUSE: MERGED, REVERSE_ETL: MERGED},
}
_CSV: dict[Change, dict[str, str]] = {
    **_PARQUET,
    "removed": {**dict.fromkeys(BY_NAME, NULL), "spark": SHIFTED, BY_POSITION: SHIFTED},
    "renamed": {**dict.fromkeys(BY_NAME, NULL), "spark": MEANING},
    "retyped": dict.fromkeys(BY_NAME, CAST_FAILS),
    "reinterpreted": dict.fromkeys(BY_NAME, CAST_FAILS),
    "reordered": {"spark": SHIFTED, BY_POSITION: SHIFTED},
    "inserted": {"spark": SHIFTED, BY_POSITION: SHIFTED},
}
_EVENT: dict[Change, dict[str, str]] = {
    "removed": {RECEIVER: ABSENT},
    "renamed": {RECEIVER: ABSENT},
    "retyped": {RECEIVER: DECODED},
    "nullable": {RECEIVER: DECODED},
    "narrowed": {RECEIVER: LISTED},
}
_BREAKS = {"parquet": _PARQUET, "csv": _CSV, "event": _EVENT}


def breaks(form: str, change: Change) -> dict[str, str]:
    """Reader -> how it meets the change; readers that do not notice are left out.

    Args:
        form: ``parquet``, ``csv`` or ``event``.
        change: kind of change.
    """
    return dict(_BREAKS[form].get(change, {}))
