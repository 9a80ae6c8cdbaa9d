"""What definitions are to the fingerprint of a day: their texts, or which versions the day holds and shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property

from pipelines.cohorts.catalogue import cohorts
from pipelines.cohorts.history import official, versions
from pipelines.cohorts.history.definitions import Timeline
from pipelines.config import Tenant
from pipelines.errors import UsageError
from pipelines.signals.strongest import tenant_ranking
from pipelines.step import Step

#: Steps that read the rows of the definition that counts on the day, whatever else the day holds.
_OFFICIAL = ("cohort_history", "event_log", "parquet_exports", "campaign_files")


@dataclass(frozen=True)
class Defined:
    """What definitions say, read once."""

    tenant: Tenant

    def text(self, step: Step, day: date) -> str:
        """Differs where other definitions make a day of a step; empty where none plays a part."""
        if step.name == "cohorts" and self._timeline is not None:
            # Carts show their strongest signal, however it is ranked.
            return f"{versions.fingerprint(self._timeline, day)}\x1f{self._ranking}"
        if step.name in _OFFICIAL:
            return official.switched(self.tenant, day)
        # Signals of visitors show values of cohorts.
        folders = ("signals", "cohorts") if step.name == "visitor_signals" else (step.group,)
        return self._texts(folders) if step.group in ("signals", "cohorts") else ""

    def _texts(self, folders: Sequence[str]) -> str:
        """Catalogue overrides are part of the meaning of what is computed from definitions."""
        files = [file for each in folders for file in sorted((self.tenant.folder / each).glob("*.yaml"))]
        texts = [file.read_text(encoding="utf-8") for file in files]
        overrides = json.dumps(self.tenant.config.parameters, sort_keys=True, default=str)
        return hashlib.sha256("\x1f".join([overrides, *texts]).encode()).hexdigest()

    @cached_property
    def _ranking(self) -> str:
        return repr(tenant_ranking(self.tenant))

    @cached_property
    def _timeline(self) -> Timeline | None:
        """Which definitions count when, with the present ones; None while one of them is wrong."""
        try:
            # When they were seen is written down by the run and plays no part here.
            return versions.seen(self.tenant, cohorts(self.tenant), datetime.min.replace(tzinfo=UTC))
        except UsageError:
            return None
