"""A small Google Cloud Storage over HTTP that is as strict as the real one, and fails when it is told to.

Uploads without a generation precondition or with another crc32c than they announce are refused. A resumable session
takes pieces of 256 KiB in order, says how far it is, and takes bytes that it has already.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c
import pytest

UNIT = 256 << 10
#: Decides by method, path and body size whether a fault hits a request.
When = Callable[[str, str, int], bool]


@dataclass
class Stored:
    data: bytes
    generation: int
    content_type: str

    @property
    def crc32c(self) -> str:
        return base64.b64encode(google_crc32c.Checksum(self.data).digest()).decode()


@dataclass
class StrictGcs:
    """The objects by name, what was asked, and the faults to come."""

    objects: dict[str, Stored] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    faults: list[tuple[str, When]] = field(default_factory=list)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    clock: int = 1000
    lock: threading.RLock = field(default_factory=threading.RLock)

    def fails(self, kind: str, when: When, times: int = 1) -> None:
        """Let the next requests fail: ``503``, ``lost`` (done, not answered), ``half`` (half is kept), ``cut``,
        ``flipped`` (a download is shorter, or has another bit)."""
        self.faults += [(kind, when)] * times

    def fault(self, method: str, path: str, size: int) -> str | None:
        with self.lock:
            for index, (kind, when) in enumerate(self.faults):
                if when(method, path, size):
                    del self.faults[index]
                    return kind
        return None

    def store(self, name: str, data: bytes, query: dict[str, list[str]], meta: dict[str, Any]) -> tuple[int, Any]:
        """Status and answer of a finished upload."""
        with self.lock:
            wanted = query.get("ifGenerationMatch")
            if wanted is None:
                return 400, error(400, "this bucket takes no upload without ifGenerationMatch")
            current = self.objects.get(name)
            if int(wanted[0]) != (current.generation if current else 0):
                return 412, error(412, "conditionNotMet")
            self.clock += 1
            made = Stored(data, self.clock, str(meta.get("contentType")))
            if meta.get("crc32c") != made.crc32c:
                return 400, error(400, f"crc32c is {made.crc32c}, announced was {meta.get('crc32c')}")
            self.objects[name] = made
            return 200, about(name, made)


def error(code: int, text: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": text}}


def about(name: str, stored: Stored) -> dict[str, Any]:
    return {
        "kind": "storage#object",
        "name": name,
        "bucket": "bucket",
        "generation": str(stored.generation),
        "metageneration": "1",
        "size": str(len(stored.data)),
        "crc32c": stored.crc32c,
        "updated": "2026-03-10T00:00:00.000Z",
        "contentType": stored.content_type,
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    gcs: StrictGcs

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, code: int, body: Any = b"", **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def hang_up(self) -> None:
        self.close_connection = True

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_POST(self) -> None:
        parts, data = urlsplit(self.path), self.body()
        query = parse_qs(parts.query)
        self.gcs.requests.append(f"POST {self.path}")
        kind = self.gcs.fault("POST", self.path, len(data))
        if kind == "503":
            self.answer(503, error(503, "try again"))
        elif copied := re.match(r"/storage/v1/b/bucket/o/([^/]+)/rewriteTo/b/bucket/o/([^/]+)$", parts.path):
            self.rewrite(unquote(copied[1]), unquote(copied[2]), query)
        elif query["uploadType"] == ["multipart"]:
            meta, content = self.multipart(data)
            code, said = self.gcs.store(meta["name"], content, query, meta)
            self.hang_up() if kind == "lost" else self.answer(code, said)
        else:
            name = f"s{len(self.gcs.sessions)}"
            meta = {"contentType": self.headers["X-Upload-Content-Type"], **json.loads(data)}
            self.gcs.sessions[name] = {"meta": meta, "query": query, "data": b"", "done": None}
            place = f"http://{self.headers['Host']}/upload/session/{name}"
            self.answer(200, Location=place)

    def multipart(self, data: bytes) -> tuple[dict[str, Any], bytes]:
        boundary = self.headers["Content-Type"].split("boundary=")[1].strip('"').encode()
        _, meta, content, _ = data.split(b"--" + boundary, 3)
        return json.loads(meta.split(b"\r\n\r\n", 1)[1]), content.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")

    def rewrite(self, source: str, target: str, query: dict[str, list[str]]) -> None:
        found = self.gcs.objects.get(source)
        if found is None:
            self.answer(404, error(404, "not found"))
            return
        meta = {"crc32c": found.crc32c, "contentType": found.content_type}
        code, said = self.gcs.store(target, found.data, query, meta)
        size = str(len(found.data))
        done = {"done": True, "objectSize": size, "totalBytesRewritten": size, "resource": said}
        self.answer(code, done if code == 200 else said)

    def do_PUT(self) -> None:
        data = self.body()
        self.gcs.requests.append(f"PUT {self.headers['Content-Range']}")
        session = self.gcs.sessions[self.path.rpartition("/")[2]]
        kind = self.gcs.fault("PUT", self.headers["Content-Range"], len(data))
        if kind == "503":
            self.answer(503, error(503, "try again"))
            return
        if session["done"]:
            self.answer(*session["done"])
            return
        asked = re.match(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)$", self.headers["Content-Range"])
        assert asked
        if asked[1] is not None:
            self.append(session, int(asked[1]), data[: len(data) // 2] if kind == "half" else data, asked[3])
        if kind == "half":
            self.answer(503, error(503, "half of it"))
            return
        if asked[3] != "*" and len(session["data"]) == int(asked[3]):
            session["done"] = self.gcs.store(
                session["meta"]["name"], session["data"], session["query"], session["meta"]
            )
            self.hang_up() if kind == "lost" else self.answer(*session["done"])
            return
        self.answer(308, Range=f"bytes=0-{len(session['data']) - 1}") if session["data"] else self.answer(308)

    def append(self, session: dict[str, Any], start: int, data: bytes, total: str) -> None:
        have = len(session["data"])
        assert start <= have, "a session takes bytes in order"
        last = total != "*" and start + len(data) == int(total)
        fresh = data[have - start :]
        session["data"] += fresh if last else fresh[: len(fresh) // UNIT * UNIT]

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        self.gcs.requests.append(f"GET {self.path}")
        kind = self.gcs.fault("GET", self.path, 0)
        if kind == "503":
            self.answer(503, error(503, "try again"))
        elif parts.path == "/storage/v1/b/bucket/o":
            prefix = query.get("prefix", [""])[0]
            found = sorted((name, each) for name, each in self.gcs.objects.items() if name.startswith(prefix))
            self.answer(200, {"items": [about(name, each) for name, each in found]})
        else:
            self.one(unquote(parts.path.rpartition("/o/")[2]), query, kind)

    def one(self, name: str, query: dict[str, list[str]], kind: str | None) -> None:
        found = self.gcs.objects.get(name)
        if found is None:
            self.answer(404, error(404, "not found"))
        elif query.get("ifGenerationMatch", [str(found.generation)])[0] != str(found.generation):
            self.answer(412, error(412, "conditionNotMet"))
        elif query.get("alt") != ["media"]:
            self.answer(200, about(name, found))
        else:
            self.media(found, kind)

    def media(self, found: Stored, kind: str | None) -> None:
        asked = re.match(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or f"bytes=0-{len(found.data)}")
        assert asked
        start, end = int(asked[1]), min(int(asked[2]) + 1, len(found.data))
        data = found.data[start:end]
        if kind == "flipped":
            data = bytes([data[0] ^ 1]) + data[1:]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(found.data)}")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if kind == "cut" else data)
        self.close_connection = kind == "cut"

    def do_DELETE(self) -> None:
        name = unquote(urlsplit(self.path).path.rpartition("/o/")[2])
        gone = self.gcs.objects.pop(name, None)
        self.answer(204) if gone else self.answer(404, error(404, "not found"))


@contextmanager
def strict_gcs() -> Iterator[StrictGcs]:
    """A server with one bucket, ``bucket``; the client is pointed at it."""
    gcs = StrictGcs()
    handler = type("Bound", (Handler,), {"gcs": gcs})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        try:
            yield gcs
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
