"""Servers that misbehave on the level of bytes, and certificates to misbehave with."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Behaviour = Callable[[socket.socket, threading.Event], None]
OK = b"HTTP/1.1 200 OK\r\n"


@dataclass
class Hostile:
    """A server; how many connections it took, and which requests came over them."""

    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    def url(self, scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}/hook"


@contextmanager
def hostile(behave: Behaviour, trust: ssl.SSLContext | None = None) -> Iterator[Hostile]:
    """Every connection is answered by the behaviour, in a thread, until the block ends."""
    ended = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    listening.settimeout(0.05)
    box = Hostile(listening.getsockname()[1])
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(connection)
            connection.settimeout(5)
            if trust is not None:
                connection = stack.enter_context(trust.wrap_socket(connection, server_side=True))
            box.requests.append(connection.recv(65536))
            behave(connection, ended)

    def accept() -> None:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError, OSError):
                connection, _ = listening.accept()
                box.connections += 1
                threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
                threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield box
    finally:
        ended.set()
        accepting.join()
        listening.close()
        for thread in threads:
            thread.join(5)


def no_answer(connection: socket.socket, ended: threading.Event) -> None:
    ended.wait(10)


def slow_headers(connection: socket.socket, ended: threading.Event) -> None:
    """One byte of the head now and then: never silent for long, never whole."""
    for byte in OK + b"X-Slow: " + b"a" * 10_000:
        if ended.wait(0.02):
            return
        connection.sendall(bytes([byte]))


def slow_body(connection: socket.socket, ended: threading.Event) -> None:
    connection.sendall(OK + b"Content-Length: 10000\r\n\r\n")
    while not ended.wait(0.02):
        connection.sendall(b"a")


def endless_body(connection: socket.socket, ended: threading.Event) -> None:
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while not ended.is_set():
        connection.sendall(b"4000\r\n" + b"a" * 0x4000 + b"\r\n")


def endless_headers(connection: socket.socket, ended: threading.Event) -> None:
    connection.sendall(OK)
    while not ended.is_set():
        connection.sendall(b"X-More: " + b"a" * 4000 + b"\r\n")


def endless_continue(connection: socket.socket, ended: threading.Event) -> None:
    """Informational answers without end."""
    while not ended.wait(0.001):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def reset_after_2xx(connection: socket.socket, ended: threading.Event) -> None:
    connection.sendall(OK + b"Content-Length: 10000\r\n\r\nhalf")
    # Lingering for no time makes closing a reset; the answer shall have been read before.
    time.sleep(0.1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def gzip_bomb(connection: socket.socket, ended: threading.Event) -> None:
    packing = zlib.compressobj(wbits=31)
    bomb = b"".join([*(packing.compress(b"\0" * 1_000_000) for _ in range(50)), packing.flush()])
    head = f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
    connection.sendall(OK + head.encode() + bomb)


def empty(connection: socket.socket, ended: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
