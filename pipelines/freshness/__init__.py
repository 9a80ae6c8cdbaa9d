"""Which days of a step are out of date, and why: fingerprints of each day's inputs against those it was made from."""

from pipelines.freshness.fingerprints import Freshness
from pipelines.freshness.reasons import CARRIED, reason, reasons

__all__ = ["CARRIED", "Freshness", "reason", "reasons"]
