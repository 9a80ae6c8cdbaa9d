"""Every reason that landing gives is in the one list, and the page for senders shows that list."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import pipelines.landing
from pipelines.landing.rules import FILE_RULES, ROW_RULES, RULES, markdown, rule_of

ROOT = Path(__file__).parents[2]
LANDING = sorted(Path(inspect.getfile(pipelines.landing)).parent.glob("*.py"))
#: Calls that give a reason, and which argument it is.
GIVING = {"refuse": 1, "FileRefusedError": 0, "Refused": 1}


def literals(node: ast.expr) -> list[str]:
    """Constant texts at the beginning of an expression, of each branch of a condition."""
    if isinstance(node, ast.IfExp):
        return literals(node.body) + literals(node.orelse)
    if isinstance(node, ast.BoolOp):
        return [text for value in node.values for text in literals(value)]
    if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
        return [str(node.values[0].value)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def given(file: Path) -> set[str]:
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    found = set()
    for call in calls:
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        if name in GIVING and len(call.args) > GIVING[name]:
            found.update(text.split(":")[0] for text in literals(call.args[GIVING[name]]))
    return found - {""}


def test_every_reason_in_the_code_is_listed() -> None:
    found = set().union(*(given(file) for file in LANDING))
    assert len(found) > 15
    assert {name for name in found if not any(rule.startswith(name) for rule in RULES)} == set()


@pytest.mark.parametrize("rules", [ROW_RULES, FILE_RULES], ids=["rows", "files"])
def test_the_page_for_senders_shows_the_list(rules: dict[str, object]) -> None:
    page = (ROOT / "docs" / "sending-data.md").read_text(encoding="utf-8")
    assert markdown(rules) in page  # type: ignore[arg-type]


def test_a_reason_finds_its_rule() -> None:
    assert rule_of("missing_required:external_id") is RULES["missing_required"]
    assert rule_of("empty_file") is RULES["empty_file"]
    assert re.search("another version", rule_of("long_gone:x").meaning)
