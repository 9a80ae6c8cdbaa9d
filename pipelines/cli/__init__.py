"""The ``murmur`` command. One module per group of commands; ``main`` finds them and turns errors into exit codes."""

from __future__ import annotations

from pipelines.cli.main import main

__all__ = ["main"]
