import dagster as dg
import pytest

from assets.definitions import build_defs
from assets.resources import Murmuration
from pipelines import flow
from schemas.registry import LAKE


@pytest.fixture
def defs(workspace):
    return build_defs({"murmuration": Murmuration(home=str(workspace.home), tenants=str(workspace.tenants))})


def test_everything_loads_together(defs):
    dg.Definitions.validate_loadable(defs)
    repository = defs.get_repository_def()
    # Names of ops and jobs may not clash; only loading all of them at once shows it.
    repository.load_all_definitions()
    assert repository.has_job("acme_daily")


def test_every_output_is_an_asset_of_its_tenant(defs):
    keys = {spec.key for spec in defs.resolve_all_asset_specs()}
    assert {dg.AssetKey(["acme", output]) for step in flow.STEPS for output in step.outputs} <= keys


def test_assets_say_where_they_belong_and_what_they_hold(defs):
    specs = {spec.key.path[-1]: spec for spec in defs.resolve_all_asset_specs()}
    for step in flow.STEPS:
        for output in step.outputs:
            spec = specs[output]
            assert spec.group_name == step.group
            assert spec.kinds == set(step.kinds)
            if output in LAKE:
                schema = spec.metadata["dagster/column_schema"]
                assert [column.name for column in schema.columns] == LAKE[output].names


def test_a_job_per_purpose_a_daily_schedule_and_three_sensors(defs):
    jobs = {job.name for job in defs.resolve_all_job_defs()}
    assert {"acme_daily", "acme_reference_data", "acme_cohorts", "acme_exports", "acme_deliver", "acme_landing"} <= jobs
    repository = defs.get_repository_def()
    schedule = repository.get_schedule_def("acme_daily_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 1 * * *", "Europe/London")
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "acme_inbox_sensor",
        "acme_transitions_sensor",
        "acme_late_data_sensor",
    }


def test_partitions_are_days_of_the_tenants_zone(defs):
    spec = next(spec for spec in defs.resolve_all_asset_specs() if spec.key.path[-1] == "cohort_sizes")
    assert spec.partitions_def.timezone == "Europe/London"


def test_checks_that_must_hold_block_what_is_downstream():
    names = {check.name: check.blocking for check in flow.CHECKS}
    assert names["counts_add_up"]
    assert names["transitions_add_up"]
    assert any(name.endswith("no_personal_data") and blocking for name, blocking in names.items())
