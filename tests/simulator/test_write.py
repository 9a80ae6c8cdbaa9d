"""Files: valid lines, the same bytes for the same seed, and a disorder that takes nothing away."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cli.main import cli
from pipelines.errors import UsageError
from pipelines.simulator import Disorder, Simulation, write
from pipelines.simulator.disorder import BREAKS, LATE, break_line, layout
from schemas.entities import ENTITIES

ROUGH = Disorder(shuffle=True, duplicate=0.05, delay=0.2, corrupt=0.02, batches=3)


def text_of(paths: list[Path]) -> list[str]:
    return [line for path in paths for line in path.read_text(encoding="utf-8").splitlines()]


def parses(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def instant(value: str | int) -> datetime:
    if isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, ZoneInfo("UTC"))
    return datetime.fromisoformat(value)


def test_lines_say_what_the_frames_say(simulation: Simulation, tmp_path: Path) -> None:
    files = write(simulation, tmp_path)
    for name, frame in simulation.entities.items():
        rows = [json.loads(line) for line in text_of(files[name])]
        assert len(rows) == len(frame), name
        if name == "referral_events":
            continue
        assert {key for row in rows for key in row} <= {column.name for column in ENTITIES[name].received}
        column = ENTITIES[name].ordered_by
        assert [instant(row[column]) for row in rows] == frame[column].to_list()
        some = [(row[column], row) for row in rows[:200]]
        assert all(value is not None for _, row in some for value in row.values())
    written = {type(json.loads(line)["occurred_at"]) for line in text_of(files["customer_events"])}
    assert written == {int, str}


def test_both_referral_shapes_are_written(simulation: Simulation, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in text_of(write(simulation, tmp_path)["referral_events"])]
    flat = [row for row in rows if "data" not in row]
    nested = [row for row in rows if "data" in row]
    assert {"name", "entity", "entityId", "data", "timestamp"} == {key for row in nested for key in row}
    assert all(isinstance(row["timestamp"], int) and row["data"]["referrer"]["id"] for row in nested)
    assert {
        "name",
        "entity",
        "entityId",
        "organizationId",
        "applicationId",
        "campaignId",
        "description",
        "timestamp",
    } == {key for row in flat for key in row}
    assert all(datetime.fromisoformat(row["timestamp"]).utcoffset() is not None for row in flat)


def test_the_same_seed_and_disorder_give_the_same_bytes(simulation: Simulation, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write(simulation, tmp_path / folder, ROUGH)
    names = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(names) > 3 * len(ENTITIES)
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_disorder_takes_no_row_away_and_the_truth_counts_what_it_added(simulation: Simulation, tmp_path: Path) -> None:
    plain = write(simulation, tmp_path / "plain")
    rough = write(simulation, tmp_path / "rough", ROUGH)
    counts = json.loads((tmp_path / "rough" / "truth" / "rows.json").read_text())["entities"]
    for row in counts:
        good, sent = Counter(text_of(plain[row["entity"]])), Counter(text_of(rough[row["entity"]]))
        assert good.total() == row["rows"]
        assert not good - sent
        broken = sent.total() - sum(sent[line] for line in good)
        assert broken == row["corrupted"]
        assert sum(sent[line] - good[line] for line in good) == row["duplicated"]
        assert sent.total() == row["lines"]
    assert sum(row["corrupted"] for row in counts) > 100


def test_writing_again_replaces_the_batches_of_before(simulation: Simulation, tmp_path: Path) -> None:
    write(simulation, tmp_path, ROUGH)
    write(simulation, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("links*")) == ["links.ndjson"]


@given(
    rows=st.integers(0, 200),
    seed=st.integers(0, 1_000),
    batches=st.integers(1, 7),
    shuffle=st.booleans(),
    shares=st.tuples(*[st.sampled_from([0.0, 0.3, 1.0])] * 3),
)
def test_a_layout_has_every_row(
    rows: int, seed: int, batches: int, shuffle: bool, shares: tuple[float, float, float]
) -> None:
    disorder = Disorder(shuffle, *shares, batches)
    plan = layout(np.random.default_rng(seed), rows, disorder)
    sent = np.concatenate(plan.batches)
    good = Counter(sent[sent >= 0].tolist())
    assert len(plan.batches) == batches
    assert set(good) == set(range(rows))
    assert good.total() == rows + plan.duplicated
    assert int((sent < 0).sum()) == plan.corrupted


def test_without_disorder_rows_stay_in_order() -> None:
    plan = layout(np.random.default_rng(1), 10, Disorder(batches=3))
    assert np.concatenate(plan.batches).tolist() == list(range(10))
    assert [len(batch) for batch in plan.batches] == [4, 3, 3]


def test_a_delayed_row_comes_in_a_later_batch() -> None:
    plan = layout(np.random.default_rng(1), 10, Disorder(delay=1.0, batches=2))
    assert plan.batches[0].tolist() == []


@pytest.mark.parametrize("kind", range(len(BREAKS)))
def test_each_break_breaks_the_line_in_its_way(kind: int) -> None:
    line = '{"external_id":"T-1","updated_at":"2025-03-01T10:00:00Z","net_minor":5}'
    broken = break_line(line, kind, "external_id", "updated_at")
    assert broken != line
    name = BREAKS[kind]
    if name == "truncated_line":
        assert not parses(broken)
        return
    row = json.loads(broken)
    assert ("external_id" in row) == (name != "missing_id")
    assert isinstance(row.get("external_id", ""), str) == (name != "wrong_type")
    assert (row["updated_at"][:7] == "2025-13") == (name == "bad_timestamp")
    assert (row.get("schema_version") == "9.0") == (name == "unknown_major_version")


def test_shares_outside_0_to_1_are_refused() -> None:
    with pytest.raises(UsageError, match="duplicate"):
        Disorder(duplicate=1.5)
    with pytest.raises(UsageError, match="batches"):
        Disorder(batches=0)


def test_the_command_writes_files_and_says_so(tmp_path: Path) -> None:
    tenants = tmp_path / "tenants"
    (tenants / "shop").mkdir(parents=True)
    (tenants / "shop" / "tenant.yaml").write_text("id: shop\ntimezone: Europe/Paris\ncurrency: EUR\n")
    arguments = ["--home", str(tmp_path), "--tenants", str(tenants), "simulate", "--tenant", "shop"]
    arguments += ["--from", "2025-03-29", "--to", "2025-03-31", "--visitors", "20", "--seed", "5", "--batches", "2"]
    result = CliRunner().invoke(cli, [*arguments, "--out", str(tmp_path / "out"), "--json"])
    assert result.exit_code == 0, result.output
    told = {row["entity"]: row for row in json.loads(result.stdout)["entities"]}
    assert set(told) == set(ENTITIES)
    assert told["customer_events"]["lines"] == len(text_of([Path(p) for p in told["customer_events"]["files"]]))
    assert [Path(p).name for p in told["links"]["files"]] == ["links.0001.ndjson", "links.0002.ndjson"]
    abandoned = pl.read_parquet(tmp_path / "out" / "truth" / "cart_abandonments.parquet")
    assert abandoned.schema["entered_at"] == pl.Datetime("us", "UTC")


def test_the_command_refuses_days_in_the_wrong_order(tmp_path: Path) -> None:
    arguments = ["simulate", "--tenant", "demo", "--from", "2025-03-29", "--to", "2025-03-01", "--visitors", "2"]
    result = CliRunner().invoke(cli, [*arguments, "--out", str(tmp_path)])
    assert isinstance(result.exception, UsageError)


def test_late_records_stand_apart_and_are_whole(simulation: Simulation, tmp_path: Path) -> None:
    files = write(simulation, tmp_path / "late", Disorder(late=0.1))
    whole = write(simulation, tmp_path / "whole")
    for name, paths in files.items():
        parts = [text_of([path]) for path in paths]
        assert sorted(text_of(paths)) == sorted(text_of(whole[name]))
        if name not in LATE:
            assert len(paths) == 1
            continue
        here, away = ({json.loads(line)["external_id"] for line in lines} for lines in parts)
        assert not here & away
        assert len(away) == max(1, round(0.1 * len(here | away)))
    write(simulation, tmp_path / "late")
    assert not list((tmp_path / "late" / "late").glob("*"))
