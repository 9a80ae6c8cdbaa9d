"""Entry point: global options, lazy commands, exit codes.

Exit 0 done, 1 failed, 2 bad usage or input, with the reason on stderr. Results go to stdout, all else to stderr.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Any

import click

from pipelines.config import Workspace
from pipelines.errors import MurmurError

#: Command name -> module in this package; the module has a click command of that name with - as _. Loaded when used.
COMMANDS = {
    "tenant": "tenant",
    "simulate": "simulate",
    "ingest": "ingest",
    "quarantine": "ingest",
    "status": "run",
    "run": "run",
    "query": "query",
    "cohort": "cohort",
    "signal": "signal",
    "export": "export",
    "webhook": "webhook",
    "deliver": "webhook",
    "listen": "listen",
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
        click.echo(f"murmur: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:
        if os.environ.get("MURMUR_DEBUG") == "1":
            raise
        # The text of an unforeseen error may hold a record's values, so only its kind and place are shown.
        click.echo(
            f"murmur: internal error: {type(error).__name__} at {_place(error)}; MURMUR_DEBUG=1 shows all", err=True
        )
        sys.exit(1)
    sys.exit(outcome if isinstance(outcome, int) else 0)


def _place(error: Exception) -> str:
    """File and line of the innermost frame of ours."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/pipelines/" in frame.filename]
    last = frames[-1] if frames else None
    return f"pipelines/{last.filename.rsplit('/pipelines/', 1)[1]}:{last.lineno}" if last else "an unknown place"
