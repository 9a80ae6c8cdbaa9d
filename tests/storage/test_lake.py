import shutil
from datetime import date

import polars as pl
import pytest
from deltalake import DeltaTable

from pipelines.errors import ConflictError, UsageError
from pipelines.storage.lake import ContractError, Lake

D1, D2 = date(2025, 1, 1), date(2025, 1, 2)
SIZES = pl.DataFrame(
    {"cohort_id": ["b", "a"], "definition_version": ["v", "v"], "size": [1, 2], "entered": [1, 2], "exited": [0, 0]}
)


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


def publish(lake, parts):
    with lake.writer("cohort_sizes") as writer:
        for day, frame in parts.items():
            writer.put(day, frame)
    return writer.commit


def test_partitions_are_sorted_and_dated_and_empty_ones_exist(lake):
    commit = publish(lake, {D1: SIZES, D2: SIZES.head(0)})
    assert commit.changed == (D1, D2)
    assert lake.read("cohort_sizes").select("date", "cohort_id").rows() == [(D1, "a"), (D1, "b")]
    assert lake.days("cohort_sizes") == [D1, D2]
    assert lake.rows("cohort_sizes") == {D1: 2, D2: 0}


def test_equal_content_is_not_written_again(lake):
    first = publish(lake, {D1: SIZES, D2: SIZES})
    again = publish(lake, {D1: SIZES.reverse(), D2: SIZES.head(1)})
    assert again.equal == (D1,)
    assert again.changed == (D2,)
    assert publish(lake, {D1: SIZES}).version == again.version == first.version + 1


def test_other_partitions_are_left_alone(lake):
    publish(lake, {D1: SIZES, D2: SIZES})
    publish(lake, {D1: SIZES.head(1)})
    assert lake.rows("cohort_sizes") == {D1: 1, D2: 2}
    assert lake.read("cohort_sizes", [D2]).height == 2


def test_it_is_a_delta_table_for_any_reader(lake):
    publish(lake, {D1: SIZES, D2: SIZES})
    publish(lake, {D1: SIZES.head(1)})
    assert pl.read_delta(str(lake.root / "cohort_sizes")).height == 3
    assert DeltaTable(lake.root / "cohort_sizes").to_pyarrow_dataset().count_rows() == 3


def test_an_older_result_never_wins(lake):
    publish(lake, {D1: SIZES})
    with pytest.raises(ConflictError, match="cohort_sizes"), lake.writer("cohort_sizes") as slow:
        publish(lake, {D1: SIZES.head(1)})
        slow.put(D1, SIZES.with_columns(size=pl.lit(9, dtype=pl.Int64)))
    assert lake.rows("cohort_sizes") == {D1: 1}


def test_a_failed_run_leaves_nothing_visible(lake):
    publish(lake, {D1: SIZES})
    with pytest.raises(RuntimeError), lake.writer("cohort_sizes") as writer:
        writer.put(D1, SIZES.head(1))
        raise RuntimeError
    assert lake.rows("cohort_sizes") == {D1: 2}


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (SIZES.with_columns(size=pl.lit(-1, dtype=pl.Int64)), "size: greater_than_or_equal_to"),
        (SIZES.with_columns(size=pl.lit(None, dtype=pl.Int64)), "size: not_nullable"),
        (SIZES.with_columns(size=pl.lit("1")), "size: dtype"),
        (SIZES.drop("size"), r"missing columns \['size'\]"),
        (SIZES.with_columns(email=pl.lit("x")), r"unexpected columns \['email'\]"),
        (pl.concat([SIZES, SIZES]), "repeat the primary key"),
    ],
)
def test_what_violates_the_contract_is_not_published(lake, frame, said):
    with pytest.raises(ContractError, match=said):
        publish(lake, {D1: frame})
    assert lake.read("cohort_sizes").height == 0


def test_names(lake):
    with pytest.raises(UsageError, match="there is no table 'nope'"):
        lake.scan("nope")
    assert lake.read("cohort_sizes").height == 0
    assert lake.version("cohort_sizes") is None


def test_a_table_that_was_removed_and_made_again_is_read_anew(lake):
    publish(lake, {D1: SIZES, D2: SIZES})
    assert lake.days("cohort_sizes") == [D1, D2]
    shutil.rmtree(lake.root)
    publish(Lake(lake.root), {D2: SIZES})
    assert lake.days("cohort_sizes") == [D2]


@pytest.mark.parametrize("sizes", [[1, 1], [3, 200_000, 1], [70_000, 130_000, 4]])
def test_a_day_written_in_parts_makes_the_same_file_as_one_written_whole(lake, sizes):
    rows = sum(sizes)
    frame = (
        SIZES.head(1)
        .select(pl.all().repeat_by(rows).explode())
        .with_columns(
            cohort_id=pl.format("c{}", pl.int_range(rows).cast(pl.String).str.zfill(7)),
            size=pl.int_range(rows) % 1000,
            exited=pl.lit(0, pl.Int64),
        )
    )
    whole = publish(lake, {D1: frame})
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    with lake.writer("cohort_sizes") as writer:
        writer.put_parts(D1, (frame[a : a + n].reverse() for a, n in zip(starts, sizes, strict=True)))
    assert (writer.commit.equal, writer.commit.rows) == ((D1,), {D1: rows})
    assert writer.commit.version == whole.version


def test_parts_must_follow_each_other(lake):
    for parts in ([SIZES, SIZES], [SIZES.head(1), SIZES.tail(1)]):
        with pytest.raises(ContractError, match="parts overlap"), lake.writer("cohort_sizes") as writer:
            writer.put_parts(D1, parts)
    with pytest.raises(ContractError, match="not_nullable"), lake.writer("cohort_sizes") as writer:
        writer.put_parts(D1, [SIZES.tail(1), SIZES.head(1).with_columns(size=pl.lit(None, pl.Int64))])
    assert lake.read("cohort_sizes").height == 0


def test_a_day_may_have_one_part_or_none(lake):
    publish(lake, {D1: SIZES})
    with lake.writer("cohort_sizes") as writer:
        writer.put_parts(D1, iter([SIZES]))
        writer.put_parts(D2, iter([]))
    assert (writer.commit.equal, writer.commit.changed) == ((D1,), (D2,))
