"""Each threshold decides where its story says: by SQL and by the naive evaluation, just under, at, and just over."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipelines.cohorts.sql.compile import members_sql
from tests.cohorts.boundaries import DAY_ASKED, STORIES, WHO, said
from tests.cohorts.rule_oracle import members_at_end
from tests.cohorts.rule_rows import World
from tests.cohorts.streams_cases import ZONE, definitions, loaded, reload, remember


@pytest.fixture(scope="module")
def ask():
    """Members by SQL of rows in relations."""
    shown = said()
    with loaded(shown) as connection:

        def asked(story, known, rows, before):
            nonlocal shown
            reload(connection, shown, rows)
            shown = rows
            remember(connection, before)
            sql = members_sql(story.cohort, known, DAY_ASKED, ZONE, "GBP", tables=False)
            return connection.execute(sql).fetchall()

        yield asked


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_threshold_decides(story, ask):
    for step, expected in zip((-1, 0, 1), story.expected, strict=True):
        known = definitions({story.cohort: story.params(step)})
        rows = story.rows(step)
        world = World(known, rows, ZONE)
        before = {(WHO, story.key)} if story.before else set()
        world.members[story.cohort, DAY_ASKED - timedelta(days=1)] = before
        assert ((WHO, story.key) in members_at_end(world, story.cohort, DAY_ASKED)) == expected, ("oracle", step)
        found = ask(story, known, rows, {(story.member, who) for who, _ in before})
        assert ((story.member, WHO) in found) == expected, ("sql", step)


def test_every_threshold_has_a_story():
    told = {(story.cohort, story.param) for story in STORIES}
    wanted = {
        (cohort.id, name)
        for cohort in definitions().values()
        for name in cohort.params
        if not cohort.of_cart and "cart" not in cohort.id
    }
    assert told == wanted
