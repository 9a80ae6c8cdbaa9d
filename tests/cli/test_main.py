import importlib

import click
import pytest

entry = importlib.import_module("pipelines.cli.main")


@pytest.fixture
def broken(monkeypatch):
    @click.command()
    def run():
        raise ValueError("alice@example.com")

    monkeypatch.setattr(entry.LazyGroup, "get_command", lambda self, ctx, name: run)


def test_an_unforeseen_error_is_one_line_without_values(broken, monkeypatch, capsys):
    monkeypatch.delenv("MURMUR_DEBUG", raising=False)
    with pytest.raises(SystemExit) as ended:
        entry.main(["run"])
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert said.startswith("murmur: internal error: ValueError at pipelines/cli/main.py:")
    assert "alice" not in said
    assert said.count("\n") == 1


def test_debugging_shows_the_whole_trace(broken, monkeypatch):
    monkeypatch.setenv("MURMUR_DEBUG", "1")
    with pytest.raises(ValueError, match="alice"):
        entry.main(["run"])
