"""The story of one subject in one cohort: what is true now, and everything that was ever told about it."""

from __future__ import annotations

from typing import Any

import polars as pl

from pipelines.cohorts.history.run import TABLE
from pipelines.config import Tenant
from pipelines.delivery.event_log import RETRACTS, TELLS

_EVENT = ("event_id", "kind", "generation", "emission", "withheld_because", "detected_at", "supersedes")
_DIRECTION = {kind: direction for direction, kind in TELLS.items()}
_DIRECTION |= {RETRACTS[kind]: direction for kind, direction in _DIRECTION.items()}


def story(tenant: Tenant, cohort: str, subject: str) -> dict[str, Any]:
    """Spans and moves of a subject, oldest first.

    Returns:
        ``cohort_id``, ``subject``, ``spans`` (``valid_from``, ``valid_to``, ``entered_by``, ``exited_by``,
        ``definition_version``) and ``moves``: ``effective_at``, ``direction``, ``caused_by``, ``transition_id``,
        ``is_true`` (false for what was told once and is not so) and ``told``: the events of ``event_log`` with the
        order in which they were noticed.
    """
    own = (pl.col("cohort_id") == cohort) & (pl.col("subject") == subject)
    spans = tenant.lake.scan(TABLE).filter(own).sort("valid_from", "date").collect()
    log = tenant.lake.scan("event_log").filter(own & pl.col("transition_id").is_not_null()).collect()
    told: dict[str, list[dict[str, Any]]] = {}
    moves: dict[str, dict[str, Any]] = {}
    retracts = pl.col("supersedes").is_not_null()
    for row in log.sort("detected_at", "generation", retracts, "event_id").iter_rows(named=True):
        told.setdefault(row["transition_id"], []).append({name: row[name] for name in _EVENT})
        moves[row["transition_id"]] = _move(row["effective_at"], _DIRECTION[row["kind"]], None, False)
    for row in spans.iter_rows(named=True):
        moves[row["entry_transition_id"]] = _move(row["valid_from"], "entered", row["entered_by"], True)
        if row["valid_to"]:
            moves[row["exit_transition_id"]] = _move(row["valid_to"], "exited", row["exited_by"], True)
    order = sorted(moves, key=lambda key: (moves[key]["effective_at"], moves[key]["direction"], key))
    shown = ("valid_from", "valid_to", "entered_by", "exited_by", "definition_version")
    return {
        "cohort_id": cohort,
        "subject": subject,
        "spans": spans.select(shown).to_dicts(),
        "moves": [{**moves[key], "transition_id": key, "told": told.get(key, [])} for key in order],
    }


def _move(at: object, direction: str, cause: str | None, is_true: bool) -> dict[str, Any]:
    return {"effective_at": at, "direction": direction, "caused_by": cause, "is_true": is_true}
