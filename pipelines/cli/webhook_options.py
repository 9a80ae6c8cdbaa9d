"""What can be said of an endpoint on the command line, and the wish that it becomes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from pipelines.delivery.endpoints import DEFAULT_TYPES, HANDSHAKES, MAX_IN_FLIGHT, Wish
from pipelines.delivery.formats import FORMATS
from pipelines.delivery.subscriptions import filters_of
from pipelines.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--event", "events", multiple=True, metavar="TYPE", help="Type or pattern [cohort.*]; may be repeated."
    ),
    click.option("--cohort", "cohorts", multiple=True, metavar="ID", help="Only events of this cohort; repeatable."),
    click.option("--signal", "signals", multiple=True, metavar="ID", help="Only events of this signal; repeatable."),
    click.option(
        "--filter",
        "filters",
        multiple=True,
        metavar="TEXT",
        help="On a field of data: cart_total_value_minor>=5000.",
    ),
    click.option("--description", default="", help="For people."),
    click.option("--format", "format_", type=click.Choice(FORMATS), default="cloudevents", show_default=True),
    click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Sent with each request."),
    click.option(
        "--header-env", multiple=True, metavar="NAME=VARIABLE", help="Likewise, its value from the environment."
    ),
    click.option("--batch", "batch_max", default=1, show_default=True, help="Events in a request at most."),
    click.option("--max-in-flight", default=MAX_IN_FLIGHT, show_default=True, help="Requests at once."),
    click.option("--rate", type=int, metavar="N", help="Attempts a second at most."),
    click.option(
        "--handshake", type=click.Choice(HANDSHAKES), default="off", show_default=True, help="Ask for permission first."
    ),
    click.option("--sandbox", is_flag=True, help="Record deliveries and send nothing."),
    click.option("--allow-private", is_flag=True, help="Allow http and private addresses."),
)


def endpoint_options(command: Command) -> Command:
    """Add every option of an endpoint to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def wish_of(tenant: str, url: str, asked: Mapping[str, Any], *, development: bool) -> Wish:
    """The wish that the options say.

    Raises:
        UsageError: a filter or a header is not one.
    """
    filters = filters_of(asked["filters"])
    for name, ids in (("cohort_id", asked["cohorts"]), ("signal_id", asked["signals"])):
        if ids and name in filters:
            raise UsageError(f"filter on {name}: is given twice; use one of the two options")
        if ids:
            filters[name] = list(ids)
    return Wish(
        tenant=tenant,
        url=url,
        event_types=asked["events"] or DEFAULT_TYPES,
        filters=filters,
        description=asked["description"],
        format=asked["format_"],
        headers={**_pairs(asked["headers"], ":", "'NAME: VALUE'"), **_from_environment(asked["header_env"])},
        batch_max=asked["batch_max"],
        max_in_flight=asked["max_in_flight"],
        rate=asked["rate"],
        handshake=asked["handshake"],
        mode="sandbox" if asked["sandbox"] else "live",
        allow_private=asked["allow_private"] or development,
    )


def _from_environment(texts: Sequence[str]) -> dict[str, str]:
    found = {}
    for name, variable in _pairs(texts, "=", "NAME=VARIABLE").items():
        if not os.environ.get(variable):
            raise UsageError(f"header {name!r}: the environment has no {variable}")
        found[name] = os.environ[variable]
    return found


def _pairs(texts: Sequence[str], separator: str, form: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, given, value = text.partition(separator)
        if not given:
            # The text may hold a secret, so it is not repeated.
            raise UsageError(f"a header is given as {form}")
        if name.strip() in found:
            raise UsageError(f"header {name.strip()!r} is given twice")
        found[name.strip()] = value.strip()
    return found
