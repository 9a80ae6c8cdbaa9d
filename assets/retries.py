"""How often a step is tried again within its run, and what is never worth another try."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from pipelines.errors import UsageError
from pipelines.storage.conform import ContractError

#: What the same inputs and settings bring about again, however long one waits.
PERMANENT = (UsageError, ContractError)
#: A lost race, or an answer that did not come: once more, at once.
SOON = dg.RetryPolicy(max_retries=1, delay=5)
#: A store that is away for a while: after 1, 2, 4, 8 and 16 minutes. The schedule leaves hours until files are due.
PATIENT = dg.RetryPolicy(max_retries=5, delay=60, backoff=dg.Backoff.EXPONENTIAL)


def policy(group: str) -> dg.RetryPolicy:
    """By group of the step: exports talk to stores that others run, everything else to disks of its own."""
    return PATIENT if group == "exports" else SOON


def longest_wait(given: dg.RetryPolicy) -> float:
    """Seconds that all tries together wait."""
    delay = given.delay or 0
    doubled = given.backoff == dg.Backoff.EXPONENTIAL
    return sum(delay * (2**number if doubled else 1) for number in range(given.max_retries))


@contextmanager
def permanent_errors_end_the_step() -> Iterator[None]:
    """Errors that another try would only repeat fail the step now, with their own words.

    Raises:
        dg.Failure: instead of one of ``PERMANENT``.
    """
    try:
        yield
    except PERMANENT as error:
        raise dg.Failure(str(error), allow_retries=False) from error
