import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandera.errors import SchemaErrors

from schemas.contract import DTYPES, Column, Contract
from schemas.entities import ENTITIES
from schemas.entities.envelope import ENVELOPE
from schemas.registry import DIMENSIONS, LAKE


@pytest.mark.parametrize("name", sorted(LAKE))
def test_every_table_has_only_types_that_every_reader_keeps(name):
    contract = LAKE[name]
    assert set(contract.schema.dtypes()) <= set(DTYPES.values())
    assert contract.partitioned == ("date" in contract.primary_key)
    contract.pandera().validate(contract.empty())


@pytest.mark.parametrize("name", sorted(ENTITIES))
def test_no_personal_field_is_stored(name):
    entity = ENTITIES[name]
    stored = {column.name for column in entity.stored}
    assert not stored & set(entity.personal)
    assert not any(column.personal for column in LAKE[name])
    assert stored | set(entity.personal) >= {column.name for column in entity.columns}


def test_references_point_at_entities():
    for entity in ENTITIES.values():
        for column, target, _ in entity.references:
            assert target in ENTITIES, (entity.name, column)


def test_nested_columns_are_json():
    for entity in ENTITIES.values():
        kinds = {column.name: column.kind for column in entity.columns}
        assert all(kinds[column] == "json" for column, _ in entity.nested)


def test_the_ordering_instant_is_a_column():
    for entity in ENTITIES.values():
        kinds = {column.name: column.kind for column in entity.columns}
        assert kinds[entity.ordered_by] == kinds[entity.day_instant] == "timestamp"
        assert set(entity.natural_key) <= set(kinds)


def test_histories_exist_for_small_entities_only():
    assert {f"{name}_history" for name in DIMENSIONS} <= set(LAKE)
    assert "customer_events_history" not in LAKE


def test_a_contract_refuses_what_contradicts_itself():
    with pytest.raises(ValueError, match="twice"):
        Contract("t", (*ENVELOPE, ENVELOPE[0]), ("external_id",))
    with pytest.raises(ValueError, match="primary key column id"):
        Contract("t", ENVELOPE, ("id",))


def test_a_ratio_is_finite_or_null():
    contract = Contract("t", (Column("r", "ratio"),), ("r",), partitioned=False)
    contract.pandera().validate(pl.DataFrame({"r": [0.5, None]}))
    for bad in (float("nan"), float("inf")):
        with pytest.raises(Exception, match="finite"):
            contract.pandera().validate(pl.DataFrame({"r": [bad]}))


def test_a_minor_version_only_appends():
    older = Contract("t", (Column("a", "string", required=True),), ("a",))
    newer = older.extended(Column("b", "int64", since="1.1"), version="1.1")
    assert newer.names[: len(older.names)] == older.names
    assert newer.version == "1.1"


RULES = Contract(
    "t",
    (
        Column("id", "string", required=True),
        Column("kind", "string", enum=("a", "b")),
        Column("n", "int64", required=True, minimum=0),
        Column("r", "ratio"),
    ),
    ("id",),
    partitioned=False,
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "id": st.sampled_from(["x", "", None]),
                "kind": st.sampled_from(["a", "b", "c", None]),
                "n": st.sampled_from([-1, 0, 1, None]),
                "r": st.sampled_from([0.5, None, float("nan"), float("inf")]),
            }
        ),
        max_size=4,
    )
)
def test_the_one_pass_form_agrees_with_pandera(rows):
    frame = pl.DataFrame(rows, schema=RULES.schema)
    try:
        RULES.pandera().validate(frame, lazy=True)
        valid = True
    except SchemaErrors:
        valid = False
    assert RULES.is_violated(frame) is not valid


@pytest.mark.parametrize("other", [RULES.empty().drop("r"), RULES.empty().select("kind", "id", "n", "r")])
def test_missing_and_reordered_columns_are_violations(other):
    assert RULES.is_violated(other)
