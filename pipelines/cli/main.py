"""Entry point: global options, lazy commands, exit codes.

Exit 0 done, 1 failed, 2 bad usage or input, with the reason on stderr. Results go to stdout, all else to stderr.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from pipelines.config import Workspace
from pipelines.errors import MurmurError, unforeseen

#: Command name -> module in this package; the module has a click command of that name with - as _. Loaded when used.
COMMANDS = {
    "tenant": "tenant",
    "simulate": "simulate",
    "ingest": "ingest",
    "quarantine": "quarantine",
    "erase": "erase",
    "vault": "vault",
    "status": "run",
    "run": "run",
    "query": "query",
    "cohort": "cohort",
    "signal": "signal",
    "export": "export",
    "schema": "schema",
    "webhook": "webhook",
    "deliver": "webhook",
    "listen": "listen",
    "sync": "sync",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used, so that ``--help`` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the flow."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"pipelines.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--home", metavar="DIR", help="Lake, landing, control data, local buckets [MURMUR_HOME, .murmur].")
@click.option("--tenants", metavar="DIR", help="Folder with one folder a tenant [MURMUR_TENANTS, tenants].")
@click.version_option(package_name="murmuration", prog_name="murmur")
@click.pass_context
def cli(ctx: click.Context, home: str | None, tenants: str | None) -> None:
    """Cohorts and product signals from a retailer's raw entities, delivered where data teams read."""
    ctx.obj = Workspace.from_environment(home, tenants)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code; errors are one line on stderr, never a stack trace."""
    try:
        outcome: Any = cli.main(arguments, prog_name="murmur", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show(sys.stderr)
        sys.exit(2)
    except MurmurError as error:
        click.echo(f"murmur: {_said(error)}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:
        if os.environ.get("MURMUR_DEBUG") == "1":
            raise
        click.echo(f"murmur: {unforeseen(error)}", err=True)
        sys.exit(1)
    sys.exit(outcome if isinstance(outcome, int) else 0)


def _said(error: MurmurError) -> str:
    """The message without contact details: names of files may hold some, and what is printed is often logged."""
    message = str(error)
    if "@" not in message and "+" not in message:
        return message
    from pipelines.landing.contacts import masked

    return masked(message, None)
