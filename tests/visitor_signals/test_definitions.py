"""What a file of a visitor signal may say, what a tenant may change, and which version that makes."""

from __future__ import annotations

import pytest

from pipelines.errors import UsageError
from pipelines.signals.catalogue import signals
from pipelines.visitor_signals.resolve import visitor_signals
from tests.conftest import make_workspace

#: Signals of section four of the catalogue, and whom they are about.
TEN = {
    "intent_score": "visitor",
    "journey_stage": "visitor",
    "engagement_velocity": "visitor",
    "scarcity_lift": "visitor",
    "discount_share": "customer",
    "category_affinity_vector": "visitor",
    "rfm_cell": "customer",
    "next_order_due_at": "customer",
    "return_rate": "customer",
    "top_signal": "visitor",
}


@pytest.fixture
def written(tmp_path):
    """A function that gives a tenant parameters and signal files of its own."""

    def tenant(parameters="", **files):
        workspace = make_workspace(tmp_path / "other")
        folder = tmp_path / "other" / "tenants" / "acme"
        (folder / "tenant.yaml").write_text((folder / "tenant.yaml").read_text() + parameters)
        (folder / "signals").mkdir()
        for name, text in files.items():
            (folder / "signals" / f"{name}.yaml").write_text(text)
        return workspace.tenant("acme")

    return tenant


def file(name, measure, subject="visitor", more=""):
    return f"id: {name}\nsubject: {subject}\nfamily: intent\ndescription: x\nmeasure: {measure}\n{more}"


def test_the_catalogue_has_ten(tenant):
    assert {key: each.signal.subject for key, each in visitor_signals(tenant).items()} == TEN
    assert not set(TEN) & set(signals(tenant))


def test_a_parameter_is_another_version_of_its_own_signal_alone(tenant, written):
    before = visitor_signals(tenant)
    after = visitor_signals(written("parameters: {intent_score: {add: 6}}\n"))
    assert {key for key in before if before[key].version != after[key].version} == {"intent_score"}


def test_a_window_of_a_cohort_is_another_version_of_what_shows_it(tenant, written):
    before = visitor_signals(tenant)
    changed = (
        "parameters: {serial_returner: {window: 90d}, discount_responsive: {share: 70}, rfm_champion: {buyers: 9}}\n"
    )
    after = visitor_signals(written(changed))
    # A threshold of the cohort plays no part in the share; how many buyers percentiles need does in the cell.
    assert {key for key in before if before[key].version != after[key].version} == {"return_rate", "rfm_cell"}


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        ("{value_of: scarcity_responsive, context: lift}", "there is no visitor cohort 'scarcity_responsive'"),
        ("{value_of: serial_returner, context: return_rate}", "there is no visitor cohort 'serial_returner'"),
        ("{value_of: cart_abandoner, context: lift}", "evaluated by day"),
        ("{value_of: scarcity_responsive_shopper, context: lifts}", "shows no 'lifts'; there are: k_n, k_s, lift"),
        ("{value_of: category_affinity, context: share}", "cohort 'category_affinity' is a family"),
        ("{cells_of: high_intent_browser}", "does not compare three numbers"),
        ("{rank: views, window: 7d, fewest: $few}", "a visitor has no 'rank'"),
        ("{intents: acts}", "measure"),
    ],
)  # fmt: skip
def test_mistakes_name_the_file_and_the_way_out(written, measure, said):
    with pytest.raises(UsageError) as caught:
        visitor_signals(written(mine=file("mine", measure)))
    assert "mine.yaml" in str(caught.value) and said in str(caught.value)


def test_a_product_has_no_measure_of_a_visitor(written):
    with pytest.raises(UsageError, match="a product has no 'value_of'"):
        signals(written(mine=file("mine", "{value_of: a, context: b}", "product")))


def test_silence_is_refused_where_a_state_is_only_shown(written):
    more = "params: {rest: {value: 1h, unit: duration}}\ncooldown: $rest\n"
    with pytest.raises(UsageError, match="cooldown and dwell"):
        visitor_signals(written(mine=file("mine", "{value_of: scarcity_responsive_shopper, context: lift}", more=more)))
