"""What numbers are compared with: parameters, percentiles over the subjects, the greatest of several, multiples."""

from __future__ import annotations

from pydantic import Field

from pipelines.cohorts.language.values import Value
from pipelines.signals.definitions import Reference, Strict


class Percentile(Strict):
    """Nearest-rank percentile of the value itself over all subjects that had one at the end of the day before.

    Attributes:
        percentile: in percent.
        population: no fewer subjects than this, else there is no bound and nothing is true.
        history: data must reach back this far, else there is no bound.
    """

    percentile: Reference
    population: Reference | None = None
    history: Reference | None = None


class Greatest(Strict):
    """The greatest of several bounds."""

    greatest: tuple[Bound, ...] = Field(min_length=2)


class Multiple(Strict):
    """A whole multiple of another value of the same subject; there is none where the value has none."""

    multiple: Reference
    of: Value


Bound = Reference | Percentile | Greatest | Multiple

Greatest.model_rebuild()
