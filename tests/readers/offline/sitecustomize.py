"""Python imports this first: whoever looks up a name or connects to anything is written down, and refused."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        with Path(os.environ["CALLS"]).open("a", encoding="utf-8") as calls:
            calls.write(f"{event} {arguments[1:] if event == 'socket.connect' else arguments}\n")
        raise ConnectionRefusedError(f"{event} is not allowed here")


sys.addaudithook(_refuse)
