"""The five files of a day: computed from one state, checked against each other, and written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import polars as pl

from pipelines.calendar import Day
from pipelines.errors import MurmurError
from pipelines.exports.campaigns.campaign_customers import campaign_customers
from pipelines.exports.campaigns.campaign_skus import campaign_skus
from pipelines.exports.campaigns.campaigns import campaigns
from pipelines.exports.campaigns.inputs import CampaignInputs
from pipelines.exports.campaigns.link_statistics import link_statistics
from pipelines.exports.campaigns.opt_outs import opt_outs
from pipelines.exports.campaigns.state import CampaignState, campaign_state
from pipelines.exports.csv_format import read_csv, write_csv
from pipelines.exports.parquet import bounds
from pipelines.exports.publish import Content, DataFile
from pipelines.storage.hashing import file_sha256, logical_sha256
from pipelines.storage.lake import conform
from schemas.exports import CAMPAIGN_FILES, CAMPAIGNS_CSV, CSV_FILES, contract_sha256

COMPUTED: dict[str, Callable[[CampaignInputs, CampaignState], pl.DataFrame]] = {
    "campaigns": campaigns,
    "campaign_customers": campaign_customers,
    "campaign_skus": campaign_skus,
    "opt_outs": opt_outs,
    "link_statistics": link_statistics,
}


class IdentityError(MurmurError):
    """The files of a day contradict each other, so nothing was published."""


def write_files(inputs: CampaignInputs, day: Day, folder: Path) -> Content:
    """Compute, check and write the files of a day.

    Raises:
        ContractError: rows do not satisfy the contract of their file.
        IdentityError: figures that must be equal between files are not.
    """
    state = campaign_state(inputs, day)
    tables = {name: conform(compute(inputs, state), CSV_FILES[name], None) for name, compute in COMPUTED.items()}
    check_identities(tables, day)
    files = [_write(name, rows, folder) for name, rows in tables.items()]
    unresolved, completeness = references(tables, inputs, state)
    logical = hashlib.sha256("".join(logical_sha256(rows) for rows in tables.values()).encode()).hexdigest()
    schema = {
        "name": CAMPAIGN_FILES,
        "version": CAMPAIGNS_CSV.version,
        "sha256": contract_sha256(*CSV_FILES.values()),
    }
    return Content(files, logical, schema, read_csv, unresolved, completeness, inputs.versions[day.date])


def _write(name: str, rows: pl.DataFrame, folder: Path) -> DataFile:
    contract = CSV_FILES[name]
    path = folder / f"{name}.csv"
    write_csv(path, rows, contract)
    key = contract.primary_key
    return DataFile(path.name, path, rows.height, file_sha256(path), key, bounds(rows, key), path.name)


def check_identities(tables: dict[str, pl.DataFrame], day: Day) -> None:
    """Clicks and opt-outs of a campaign are the same, whichever file they are read from.

    Raises:
        IdentityError: with the figure and the number of campaigns; never a value.
    """
    selected = tables["campaign_customers"].group_by("campaign_id").agg(pl.col("click_count").sum())
    links = tables["link_statistics"].group_by("campaign_id").agg(pl.col("clicks_cumulative").sum())
    declined = tables["opt_outs"].filter(pl.col("action") == "opt_out").group_by("campaign_id")
    sides = (
        tables["campaigns"]
        .select("campaign_id", "clicked", "clicks_unattributed", "opt_outs")
        .join(selected, on="campaign_id", how="left")
        .join(links, on="campaign_id", how="left")
        .join(declined.agg(pl.len().cast(pl.Int64).alias("declined")), on="campaign_id", how="left")
        .fill_null(0)
    )
    rules = {
        "clicked is click_count of campaign_customers and clicks_unattributed": pl.col("clicked")
        == pl.col("click_count") + pl.col("clicks_unattributed"),
        "clicked is clicks_cumulative of link_statistics": pl.col("clicked") == pl.col("clicks_cumulative"),
        "opt_outs is what opt_outs.csv attributes": pl.col("opt_outs") == pl.col("declined"),
    }
    for rule, holds in rules.items():
        if broken := sides.filter(~holds).height:
            raise IdentityError(f"campaign files of {day.date}: {broken} campaigns break the rule: {rule}")


def references(
    tables: dict[str, pl.DataFrame], inputs: CampaignInputs, state: CampaignState
) -> tuple[dict[str, int], float]:
    """Cells that name something which is in none of the files nor in the lake.

    Returns:
        Their number by ``<file>.<column>``, with records left out as ``<entity>.incomplete`` and clicks on unknown
        links as ``clicks.link_id``; and the share of all references that resolve.
    """
    known = {
        **{name: ids["external_id"] for name, ids in inputs.known.items()},
        "campaigns": tables["campaigns"]["campaign_id"],
        "links": tables["link_statistics"]["link_id"],
    }
    found: dict[str, int] = dict(state.incomplete)
    cells = 0
    for name, rows in tables.items():
        for column in (column for column in CSV_FILES[name] if column.references in known):
            named = rows[column.name].drop_nulls()
            cells += len(named)
            missing = int((~named.is_in(known[str(column.references)].implode())).sum())
            found[f"{name}.{column.name}"] = missing
    clicked = inputs.events.filter((pl.col("event_name") == "Link Clicked") & (pl.col("occurred_at") < state.day.end))
    found["clicks.link_id"] = clicked.height - state.clicks.height
    open_ones = {name: number for name, number in sorted(found.items()) if number}
    cells += clicked.height
    waiting = sum(number for name, number in open_ones.items() if not name.endswith(".incomplete"))
    return open_ones, 1 - waiting / cells if cells else 1.0
