"""Where bucket tasks run. One protocol; the local engine is the default, distributed ones are optional extras."""

from __future__ import annotations

from pipelines.engines.local import LocalEngine
from pipelines.engines.protocol import Engine

__all__ = ["Engine", "LocalEngine"]
