"""Tenant days as Dagster partitions, and the days that a run is about."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta

import dagster as dg
from dagster import AssetCheckExecutionContext, AssetExecutionContext

from pipelines.calendar import days_between
from pipelines.config import Tenant
from pipelines.freshness import Freshness

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
PARTITION = "dagster/partition"
#: Tag of a run for late data: why it was asked for.
RECOMPUTE_REASON = "recompute_reason"


def first_day(tenant: Tenant) -> date:
    """First partition: the first landed day, else a month ago."""
    landed = Freshness(tenant).available_days()
    return landed[0] if landed else datetime.now(tenant.zone).date() - timedelta(days=30)


def daily(tenant: Tenant) -> dg.DailyPartitionsDefinition:
    """One partition per calendar day of the tenant's zone, up to yesterday."""
    return dg.DailyPartitionsDefinition(start_date=first_day(tenant).isoformat(), timezone=tenant.config.timezone)


def days_of(context: AssetExecutionContext) -> list[date]:
    """The days that a partitioned asset is asked to materialise: one, or a range in one run."""
    return [date.fromisoformat(key) for key in context.partition_keys]


def days_of_check(context: AssetCheckExecutionContext) -> list[date]:
    """The days of the run that a check belongs to; empty when the run has no partitions."""
    return days_of_tags(context.run.tags)


def days_of_tags(tags: Mapping[str, str]) -> list[date]:
    """Days named by a run's tags, for one partition or a range of them."""
    if RANGE_START in tags:
        return days_between(date.fromisoformat(tags[RANGE_START]), date.fromisoformat(tags[RANGE_END]))
    return [date.fromisoformat(tags[PARTITION])] if PARTITION in tags else []


def range_tags(first: date, last: date) -> dict[str, str]:
    """Tags that make one run cover every day from first to last."""
    return {RANGE_START: first.isoformat(), RANGE_END: last.isoformat()}
