"""A receiver that costs next to nothing, in a process of its own: it answers 200 and notes when each event came first.

``/hang`` is never answered. On SIGTERM the arrivals are written as JSON, monotonic seconds by event id.

    python benchmarks/_receiver.py SOCKET-FD FILE
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from pathlib import Path

import uvloop

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{"received": true}'


class Receiver(asyncio.Protocol):
    """One connection; requests are told apart by their Content-Length."""

    arrived: dict[bytes, float] = {}  # noqa: RUF012  one list for all connections of the process

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to answer to."""
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer every whole request."""
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower() + b"\r\n"
            whole = end + 4 + int(_header(head, b"content-length"))
            if len(self.buffer) < whole:
                return
            self.buffer = self.buffer[whole:]
            if head.startswith(b"post /hang"):
                continue
            self.arrived.setdefault(_header(head, b"webhook-id"), time.monotonic())
            self.transport.write(ANSWER)  # type: ignore[attr-defined]


def _header(head: bytes, name: bytes) -> bytes:
    start = head.index(b"\r\n" + name + b":") + len(name) + 3
    return head[start : head.index(b"\r\n", start)].strip()


async def serve(listening: socket.socket, file: Path) -> None:
    """Serve until SIGTERM."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    server = await loop.create_server(Receiver, sock=listening)
    await stopped.wait()
    server.close()
    file.write_text(json.dumps({key.decode(): at for key, at in Receiver.arrived.items()}))


if __name__ == "__main__":
    uvloop.run(serve(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2])))
