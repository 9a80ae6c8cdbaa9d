"""Whatever is written into a file of the catalogue, it is told in problems or is valid, and can be said in words."""

from __future__ import annotations

from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cohorts.language.canonical import definition_version
from pipelines.cohorts.language.check import check
from pipelines.cohorts.language.gallery import section
from pipelines.cohorts.language.reading import read, shipped_files
from pipelines.cohorts.language.words import in_words
from tests.cohorts.language.support import STATES, catalogue

FILES = {file.stem: file.read_text(encoding="utf-8") for file in shipped_files()}
ODD = [
    *(None, True, 3, 1.5, "", "x", "$n", "$window", "30m", "order", "view", "day", "visitor", "category"),
    *([], ["order"], {}, {"count": "order"}, {"open": "opt_out"}, {"cohort": "vip"}, {"percentile": "$share"}),
    *({"value": {"last": "view"}, "at_most": "$window"}, {"any_in": ["low"]}, {"x": {"y": []}}, {"add": ["$n", 3]}),
]


def places(data, path=()):
    yield path
    if isinstance(data, dict | list):
        for key, part in data.items() if isinstance(data, dict) else enumerate(data):
            yield from places(part, (*path, key))


def changed(data, path, odd):
    *way, last = path
    for key in way:
        data = data[key]
    data[last] = odd


@given(st.data())
def test_any_change_of_a_file(tmp_path_factory, data):
    name = data.draw(st.sampled_from(sorted(FILES)))
    content = yaml.safe_load(FILES[name])
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from([each for each in places(content) if each]))
        changed(content, path, data.draw(st.sampled_from(ODD)))
        content = yaml.safe_load(yaml.safe_dump(content))
    file = Path(tmp_path_factory.getbasetemp()) / f"{name}.yaml"
    file.write_text(yaml.safe_dump(content))
    found, problems = read([file])
    together = {**catalogue(), **found}
    problems += check(together, STATES)
    assert all(problem.path and problem.problem and problem.fix for problem in problems)
    assert found or problems
    if found and not problems:
        [cohort] = found.values()
        assert in_words(cohort) and section(cohort, together) and definition_version(cohort)
