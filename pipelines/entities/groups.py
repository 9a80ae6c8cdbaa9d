"""Checks of who belongs to which group: no group lies inside itself, and both sides tell the same members.

Both sides count, so that a disagreement loses nothing; what is computed from memberships is in the facts stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from pipelines.config import Tenant
from pipelines.step import Check, CheckResult

_SHOWN = 5


def circular(groups: pl.DataFrame) -> list[str]:
    """Ids of the groups that lie inside themselves, sorted; from ``external_id`` and ``parent_id``."""
    parents = dict(groups.select("external_id", "parent_id").drop_nulls().iter_rows())
    return sorted(group for group in parents if _returns(group, parents))


def _returns(group: str, parents: dict[str, str]) -> bool:
    seen, at = set(), parents.get(group)
    while at is not None and at not in seen:
        if at == group:
            return True
        seen.add(at)
        at = parents.get(at)
    return False


def conflicts(groups: pl.DataFrame, outlets: pl.DataFrame) -> pl.DataFrame:
    """Memberships that one side tells while the other lists its own without it: outlet_id, group_id, told_by, sorted.

    A side that lists nothing, or has not arrived, disagrees with nobody; who is in a group is in the groups around it.

    Args:
        groups: ``external_id``, ``parent_id``, ``outlet_ids``.
        outlets: ``external_id``, ``group_ids``.
    """
    of_groups = _pairs(groups, "group_id", "outlet_ids", "outlet_id")
    of_outlets = _pairs(outlets, "outlet_id", "group_ids", "group_id")
    key = ["outlet_id", "group_id"]
    parents = groups.select(pl.col("external_id").alias("group_id"), "parent_id").drop_nulls()
    known_groups, known_outlets = (_with_ancestors(pairs, parents) for pairs in (of_groups, of_outlets))
    only_groups = of_groups.join(known_outlets, on=key, how="anti").join(of_outlets, on="outlet_id", how="semi")
    only_outlets = of_outlets.join(known_groups, on=key, how="anti").join(of_groups, on="group_id", how="semi")
    told = [(only_groups, "groups"), (only_outlets, "outlets")]
    return pl.concat([frame.select(*key, pl.lit(side).alias("told_by")) for frame, side in told]).sort(key)


def _with_ancestors(pairs: pl.DataFrame, parents: pl.DataFrame) -> pl.DataFrame:
    found, height = pairs.select("outlet_id", "group_id").unique(), -1
    while found.height != height:
        height = found.height
        above = found.join(parents, on="group_id").select("outlet_id", pl.col("parent_id").alias("group_id"))
        found = pl.concat([found, above]).unique()
    return found


def _pairs(frame: pl.DataFrame, own: str, listed: str, other: str) -> pl.DataFrame:
    opened = frame.select(
        pl.col("external_id").alias(own), pl.col(listed).str.json_decode(pl.List(pl.String())).alias(other)
    )
    return opened.explode(other).drop_nulls()


def no_circles(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    """No group is its own ancestor."""
    found = circular(tenant.lake.read("groups"))
    evidence: dict[str, int | str] = {"groups": len(found), "which": ", ".join(found[:_SHOWN])}
    return CheckResult("no_circles", not found, "no group lies inside itself", evidence, blocking=False)


def memberships_agree(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    """Outlets and groups that list their memberships list the same; all of them count."""
    found = conflicts(tenant.lake.read("groups"), tenant.lake.read("outlets"))
    which = [
        f"{row['outlet_id']} in {row['group_id']} (only {row['told_by']})" for row in found.head(_SHOWN).to_dicts()
    ]
    evidence: dict[str, int | str] = {"conflicts": found.height, "which": ", ".join(which)}
    says = "outlets and groups tell the same memberships"
    return CheckResult("memberships_agree", found.is_empty(), says, evidence, blocking=False)


CHECKS: tuple[Check, ...] = (
    Check("groups", "no_circles", "No group lies inside itself.", no_circles, blocking=False),
    Check("groups", "memberships_agree", "Outlets and groups tell the same.", memberships_agree, blocking=False),
)
