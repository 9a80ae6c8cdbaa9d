"""A small S3 and STS over HTTP that hold the rules which moto does not: trust, sessions, owners and checksums."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/exports"
EXTERNAL_ID = "tenant-7"


@dataclass
class StrictAws:
    """One role, one bucket.

    Attributes:
        trusts: external id that the trust policy asks for; None where it asks for none.
        any_id: the trust policy asks for an external id, whatever it is.
        lasts: seconds until a session is said to end.
        sessions: tokens that were given.
        asked: parameters of every AssumeRole.
        objects: by key.
        used: token of every request to S3.
        lost: how many answers to uploads are lost.
        moody: takes no notice of preconditions.
    """

    trusts: str | None = EXTERNAL_ID
    any_id: bool = False
    lasts: int = 900
    sessions: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    asked: list[dict[str, str]] = field(default_factory=list)
    objects: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)
    lost: int = 0
    moody: bool = False


class RefusedError(Exception):
    """An error answer."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    aws: StrictAws

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_one(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if self.path == "/" and self.command == "POST":
                self.assume({name: values[0] for name, values in parse_qs(data.decode()).items()})
            else:
                self.admitted()
                self.s3(data)
        except RefusedError as refused:
            body = f"<Error><Code>{refused.code}</Code><Message>{refused.code}</Message></Error>"
            if self.path == "/":
                body = f"<ErrorResponse>{body}</ErrorResponse>"
            self.answer(refused.status, body.encode())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.handle_one
        raise AttributeError(name)

    def assume(self, asked: dict[str, str]) -> None:
        aws = self.aws
        aws.asked.append(asked)
        given = asked.get("ExternalId")
        trusted = given is not None if aws.any_id else aws.trusts is None or given == aws.trusts
        if asked["Action"] != "AssumeRole" or asked["RoleArn"] != ROLE or not trusted:
            raise RefusedError(403, "AccessDenied")
        if not 900 <= int(asked["DurationSeconds"]) <= 3600:
            raise RefusedError(400, "ValidationError")
        token = f"session-{len(aws.sessions)}"
        aws.sessions.append(token)
        until = (datetime.now(UTC) + timedelta(seconds=aws.lasts)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.answer(
            200,
            f"<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>key</AccessKeyId>"
            f"<SecretAccessKey>secret</SecretAccessKey><SessionToken>{token}</SessionToken>"
            f"<Expiration>{until}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>".encode(),
        )

    def admitted(self) -> None:
        token = self.headers.get("x-amz-security-token") or ""
        self.aws.used.append(token)
        if token not in self.aws.sessions:
            raise RefusedError(403, "InvalidToken")
        if token in self.aws.ended:
            raise RefusedError(400, "ExpiredToken")
        if self.headers.get("x-amz-expected-bucket-owner") is None:
            raise RefusedError(400, "OwnerNotNamed")
        if self.headers["x-amz-expected-bucket-owner"] != ACCOUNT:
            raise RefusedError(403, "AccessDenied")

    def s3(self, data: bytes) -> None:
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).strip("/").partition("/")
        if bucket != "bucket":
            raise RefusedError(404, "NoSuchBucket")
        if self.command == "GET" and not key:
            self.listing(parse_qs(parts.query).get("prefix", [""])[0])
        elif self.command == "PUT":
            self.put(key, data)
        elif self.command == "DELETE":
            self.aws.objects.pop(key, None)
            self.answer(204)
        elif key not in self.aws.objects:
            raise RefusedError(404, "NoSuchKey")
        else:
            content, checksum = self.aws.objects[key]
            told = {"x_amz_checksum_sha256": checksum} if self.headers.get("x-amz-checksum-mode") == "ENABLED" else {}
            self.answer(200, content, ETag='"e"', Last_Modified="Tue, 10 Mar 2026 00:00:00 GMT", **told)

    def put(self, key: str, data: bytes) -> None:
        if source := self.headers.get("x-amz-copy-source"):
            if self.headers.get("x-amz-source-expected-bucket-owner") != ACCOUNT:
                raise RefusedError(400, "OwnerNotNamed")
            self.aws.objects[key] = self.aws.objects[unquote(source).strip("/").partition("/")[2]]
            self.answer(200, b"<CopyObjectResult><ETag>e</ETag></CopyObjectResult>")
            return
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        if self.headers.get("x-amz-checksum-sha256") is None:
            raise RefusedError(400, "ChecksumMissing")
        if self.headers["x-amz-checksum-sha256"] != checksum:
            raise RefusedError(400, "BadDigest")
        if self.headers.get("If-None-Match") == "*" and key in self.aws.objects and not self.aws.moody:
            raise RefusedError(412, "PreconditionFailed")
        self.aws.objects[key] = (data, checksum)
        if self.aws.lost:
            self.aws.lost -= 1
            self.close_connection = True
            return
        self.answer(200, ETag='"e"')

    def listing(self, prefix: str) -> None:
        found = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(content)}</Size><ETag>e</ETag>"
            "<LastModified>2026-03-10T00:00:00.000Z</LastModified></Contents>"
            for key, (content, _) in sorted(self.aws.objects.items())
            if key.startswith(prefix)
        )
        self.answer(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>".encode())


@contextmanager
def strict_aws(**how: Any) -> Iterator[StrictAws]:
    """A server; the AWS variables point at it, and the external id is in ``SHOP_EXTERNAL_ID``."""
    aws = StrictAws(**how)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"aws": aws}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
            "AWS_ACCESS_KEY_ID": "ours",
            "AWS_SECRET_ACCESS_KEY": "ours",
            "AWS_DEFAULT_REGION": "eu-west-2",
            "SHOP_EXTERNAL_ID": EXTERNAL_ID,
        }.items():
            patch.setenv(name, value)
        patch.delenv("AWS_PROFILE", raising=False)
        try:
            yield aws
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
