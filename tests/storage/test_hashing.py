from datetime import UTC, date, datetime

import polars as pl
import pytest

from pipelines.storage.hashing import LogicalHash, identifier, identifiers, logical_sha256, subject_key

FRAME = pl.DataFrame(
    {
        "s": ["a", None, "", "é"],
        "n": [1, None, 0, -5],
        "b": [True, None, False, True],
        "d": [date(2025, 1, 1), None, date(2024, 2, 29), date(1, 1, 1)],
        "t": [
            datetime(2025, 1, 1, tzinfo=UTC),
            None,
            datetime(1970, 1, 1, tzinfo=UTC),
            datetime(2100, 1, 1, tzinfo=UTC),
        ],
    },
    schema_overrides={"t": pl.Datetime("us", "UTC")},
)


def test_the_hash_does_not_see_chunks():
    chunked = pl.concat([FRAME.slice(0, 1), FRAME.slice(1, 3)], rechunk=False)
    assert chunked.n_chunks() == 2
    assert logical_sha256(chunked) == logical_sha256(FRAME)


def test_the_hash_does_not_see_how_rows_came_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.storage.hashing.SLICE", 3)
    long = pl.concat([FRAME, FRAME.head(2), FRAME, FRAME])
    whole = logical_sha256(long)
    for size in (1, 2, 3, 4, 5, 20):
        pieces = LogicalHash(long.schema)
        for start in range(0, long.height, size):
            pieces.update(long.slice(start, size))
        assert pieces.hexdigest() == whole


def test_what_lies_behind_a_null_is_not_seen() -> None:
    hidden = pl.DataFrame({"s": ["abc", "de", "f"], "n": [1, 2, 3]})
    masked = hidden.with_columns(pl.when(pl.Series([True, False, True])).then(pl.all()))
    plain = pl.DataFrame({"s": ["abc", None, "f"], "n": [1, None, 3]})
    assert logical_sha256(masked) == logical_sha256(plain)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["ab", "c"], ["a", "bc"]),
        (["a", "a", "a"], ["a", "a"]),
        (["a", None], [None, "a"]),
        (["x" * 300, "y"], ["x" * 299, "xy"]),
        (["", ""], [None, None]),
        ([0.0, 0.0], [0.0, -0.0]),
        ([0.0, 0.0], [-0.0, -0.0]),
        ([True, True], [True, True, True]),
    ],
)
def test_columns_that_nearly_have_the_same_bytes(one: list[object], other: list[object]) -> None:
    kind = pl.Series([value for value in one if value is not None] or [""]).dtype
    frames = [pl.DataFrame({"a": pl.Series(values, dtype=kind)}) for values in (one, other)]
    assert logical_sha256(frames[0]) != logical_sha256(frames[1])


@pytest.mark.parametrize(
    "other",
    [
        FRAME.reverse(),
        FRAME.rename({"s": "z"}),
        FRAME.with_columns(pl.col("n").fill_null(0)),
        FRAME.with_columns(pl.col("s").fill_null("")),
        FRAME.with_columns(pl.col("b").fill_null(False)),
        FRAME.head(3),
        FRAME.with_columns(s=pl.Series(["", None, "a", "é"])),
    ],
)
def test_the_hash_sees_every_difference(other):
    assert logical_sha256(other) != logical_sha256(FRAME)


def test_identifiers_of_a_column_are_the_identifiers_of_its_values():
    frame = pl.DataFrame({"a": ["x", "y"]})
    assert frame.select(identifiers([pl.lit("t"), pl.col("a")])).to_series().to_list() == [
        identifier("t", "x"),
        identifier("t", "y"),
    ]


def test_the_subject_key_is_layout_and_never_changes():
    keys = pl.DataFrame({"v": ["a", "b"]}).select(subject_key("v"))["v"].to_list()
    assert keys == [-1817709641818812897, 6294355645245719615]
