"""Files that are not definitions: every mistake of their shape, with the place in the file and a fix."""

from __future__ import annotations

import pytest

from pipelines.cohorts.language.reading import read, validate
from pipelines.errors import UsageError

HEAD = "id: tried\nsubject: customer\ndescription: x\nparams:\n  n: {value: 3, unit: count}\n"


def said(folder, text, name="tried"):
    file = folder / f"{name}.yaml"
    file.write_text(text)
    _, problems = read([file])
    assert {problem.file for problem in problems} <= {str(file)}
    return [(problem.path, f"{problem.problem}; {problem.fix}") for problem in problems]


@pytest.mark.parametrize(
    ("rest", "path", "text"),
    [
        ("rule: {value: {count: order, wihtin: $n}, at_least: $n}", "rule.value.wihtin", "did you mean 'within'?"),
        ("rule: {value: {count: order}, at_last: $n}", "rule.at_last", "did you mean 'at_least'?"),
        ("rule: {value: {count: order}, at_least: 3}", "rule.at_least", "give it a name and a unit in params"),
        ("rule: {value: {add: [{count: order}, 3]}, at_least: $n}", "rule.value.add.1", "3 is written in the rule"),
        ("rule: {value: {cuont: order}, at_least: $n}", "rule.value", "is not a value; write one of: count"),
        ("rule: {value: {add: [{cuont: x}, $n]}, at_least: $n}", "rule.value.add.0", "what has cuont is not a value"),
        ("rule: {value: {sum: net_minor}, at_least: $n}", "rule.value.of", "is missing; add it"),
        ("rule: {all: [{value: {count: order}, at_least: $n}, {x: 1}]}", "rule.all.1", "is not a rule"),
        ("rule: {any: []}", "rule.any", "has too few parts"),
        ("rule: {value: {count: order}, at_least: {percentil: $n}}", "rule.at_least.percentil", "mean 'percentile'?"),
        ("rule: {value: {count: order}, at_least: {of: {count: order}}}", "rule.at_least.multiple", "is missing"),
        ("rule: {value: {count: order}, at_least: {}}", "rule.at_least", "is not a bound"),
        ("rule: {value: {count: order, where: {side: 3}}, at_least: $n}", "rule.value.where.side", "3 is no condition"),
        ("rule: {first: {event: [a]}, then: {event: []}, same: x}", "rule.then.event", "has too few parts"),
        ("rule: {first: {evnt: [a]}, then: {event: [b]}, same: x}", "rule.first.evnt", "did you mean 'event'?"),
        ("rule: {value: {count: order}, at_least: $nn}", "rule.at_least", "$nn is not a parameter; did you mean $n?"),
        ("rule: {value: {count: order}, at_least: $many}", "rule.at_least", "add many to params"),
        ("rule: {value: {count: order}, at_least: $n}\nttl: 7d", "ttl", "7d is written in the rule"),
        ("rule: {value: {count: order}, at_least: $n}\nevaluate: daily", "evaluate", "did you mean 'day'?"),
        ("rule: {value: {count: order}, at_least: $n}\nevalute: day", "evalute", "did you mean 'evaluate'?"),
        ("rule: {value: {count: order}}", "rule", "compare with one of at_least"),
        ("rule: {value: {count: order}, at_least: $n, leave_above: $n}", "rule", "is left below a bound"),
    ],
)
def test_the_shape_of_a_file(tmp_path, rest, path, text):
    found = dict(said(tmp_path, HEAD + rest))
    assert text in found.get(path, f"only {found}")
    assert len(found) == 1


def test_all_mistakes_of_a_file_are_told_and_each_once(tmp_path):
    text = HEAD + "rule: {all: [{value: {count: order}, at_least: 3}, {y: 1}]}\nuntill: [order]\ndwell: 3\n"
    assert [path for path, _ in said(tmp_path, text)] == ["rule.all.0.at_least", "rule.all.1", "dwell", "untill"]


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("id: [", "line 1", "is not YAML"),
        ("", "(top)", "holds no definition; begin with id:"),
        ("- a", "(top)", "holds no definition"),
        (HEAD.replace("unit: count", "unit: cuont"), "params.n.unit", "did you mean 'count'?"),
        (HEAD.replace("3", "3.5"), "params.n", "is not a whole number of count"),
        (HEAD.replace("tried", "other") + "rule: {open: opt_out}", "id", "make them equal"),
        (HEAD.replace("customer", "shopper"), "subject", "write one of: customer, visitor"),
    ],
)
def test_the_top_of_a_file(tmp_path, text, path, message):
    assert message in dict(said(tmp_path, text))[path]


def test_a_file_that_is_not_there_or_no_text(tmp_path):
    other = tmp_path / "bytes.yaml"
    other.write_bytes(b"\xff\xfe")
    _, problems = read([tmp_path / "none.yaml", other])
    assert [problem.problem for problem in problems] == [
        "cannot be read: FileNotFoundError",
        "cannot be read: UnicodeDecodeError",
    ]


def test_a_tenants_files_and_parameters_count(workspace, tmp_path):
    folder = workspace.tenants / "acme"
    (folder / "cohorts").mkdir()
    (folder / "cohorts" / "loyal.yaml").write_text(
        "id: loyal\nsubject: customer\ndescription: x\nevaluate: day\nparams:\n  n: {value: 3, unit: count}\n"
        "  m: {value: 2, unit: count}\nrule: {value: {count: order}, at_least: $n, leave_below: $m}\n"
    )
    assert validate(workspace.tenant("acme"))[1] == []
    settings = folder / "tenant.yaml"
    settings.write_text(settings.read_text() + "parameters:\n  loyal: {n: 1, k: 2}\n  vip: {orders: many}\n")
    found, problems = validate(workspace.tenant("acme"))
    assert found["loyal"].param("n") == 1
    assert [(problem.path, problem.fix) for problem in problems] == [
        ("rule.leave_below", "let $m be not above $n"),
        ("parameters.loyal.k", "write one of: m, n"),
        ("parameters.vip.orders", "write it without quotes or decimals"),
    ]


def test_what_names_a_broken_file_is_not_blamed(tmp_path):
    (tmp_path / "broken.yaml").write_text("id: broken\n")
    (tmp_path / "user.yaml").write_text("id: user\nsubject: customer\ndescription: x\nrule: {cohort: broken}\n")
    _, problems = validate(None, [tmp_path / "broken.yaml", tmp_path / "user.yaml"])
    assert {problem.file for problem in problems} == {str(tmp_path / "broken.yaml")}


def test_a_wrong_signal_file_is_told(workspace):
    folder = workspace.tenants / "acme" / "signals"
    folder.mkdir()
    (folder / "odd.yaml").write_text("id: odd\n")
    with pytest.raises(UsageError, match=r"odd\.yaml"):
        validate(workspace.tenant("acme"))
