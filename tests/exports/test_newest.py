from datetime import UTC, datetime

import polars as pl

from pipelines.exports.campaigns.inputs import newest

AT = datetime(2025, 3, 1, tzinfo=UTC)


def test_of_two_versions_at_one_instant_the_one_that_stays_open_wins():
    history = pl.DataFrame(
        {
            "external_id": ["c", "c"],
            "effective_from": [AT, AT],
            "effective_to": [None, AT],  # the loser ends as it begins
            "version_hash": ["a", "b"],
            "is_deleted": [True, False],
        }
    )
    for order in (history, history.reverse()):
        assert newest(order)["version_hash"].to_list() == ["a"]
