"""Tables stay readable where they are narrow, and a row is a line where a program reads them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipelines.cli.output import table

IDENTIFIER = "high_value_cart_abandoner"
RULE = "leaves below 80% of the threshold at which it was entered"
ROW = [IDENTIFIER, 1234, RULE]


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_identifiers_are_whole_in_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    table(["cohort", "size", "rule"], [ROW])
    lines = printed(capsys)
    assert len(lines) > 3
    assert lines[2].split()[:2] == [IDENTIFIER, "1,234"]
    assert max(map(len, lines)) <= 60


def test_nothing_is_cut_where_there_is_no_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "24")
    table(["cohort", "other"], [[IDENTIFIER, IDENTIFIER]])
    lines = printed(capsys)
    assert max(map(len, lines)) <= 24
    halves = [line.split(maxsplit=1) for line in lines[2:]]
    assert ["".join(half).replace(" ", "") for half in zip(*halves, strict=True)] == [IDENTIFIER, IDENTIFIER]


def test_a_row_is_a_line_in_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    table(["cohort", "size", "rule"], [ROW, ROW])
    lines = printed(capsys)
    assert len(lines) == 4
    assert lines[3].rstrip().endswith(RULE)


def test_brackets_are_text_and_instants_end_with_z(capsys: pytest.CaptureFixture[str]) -> None:
    table(["list", "at"], [["[red]", datetime(2026, 1, 2, tzinfo=UTC)]])
    assert printed(capsys)[2].split() == ["[red]", "2026-01-02T00:00:00Z"]


def test_no_rows_are_said_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    table(["cohort"], [])
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "none\n")
