"""Object store servers in this process, spoken to over HTTP: moto for S3, the emulator for GCS."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import boto3
import pytest
from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import objects as emulated_objects
from gcp_storage_emulator.server import create_server
from moto.server import ThreadedMotoServer

with warnings.catch_warnings():
    # The client warns at import that an optional package of gRPC, which it does not use here, is missing.
    warnings.simplefilter("ignore", ImportWarning)
    import google.api_core.exceptions  # noqa: F401

BUCKET = "bucket"


@contextmanager
def s3_server() -> Iterator[str]:
    """A moto server with one bucket; the AWS variables point at it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        patch.delenv("AWS_PROFILE", raising=False)
        client = boto3.client("s3", endpoint_url=endpoint)
        client.create_bucket(Bucket=BUCKET)
        client.close()
        try:
            yield endpoint
        finally:
            server.stop()


@contextmanager
def gcs_server() -> Iterator[list[dict[str, Any]]]:
    """A GCS emulator with one bucket, made to honour generation preconditions, which it leaves out by itself.

    Yields:
        The query of each upload that was received.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uploads: list[dict[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        patch.setattr(emulated_objects, "_multipart_upload", _strict(emulated_objects._multipart_upload, uploads))
        server = create_server("127.0.0.1", port, in_memory=True, default_bucket=BUCKET)
        server.start()
        try:
            yield uploads
        finally:
            server.stop()


def _strict(upload: Any, uploads: list[dict[str, Any]]) -> Any:
    def checked(request: Any, response: Any, storage: Any) -> None:
        uploads.append(request.query)
        try:
            found = storage.get_file_obj(request.params["bucket_name"], request.data["meta"]["name"])
            generation = str(found["generation"])
        except NotFound:
            generation = "0"
        wanted = request.query.get("ifGenerationMatch", [generation])[0]
        if wanted != generation:
            response.status = HTTPStatus.PRECONDITION_FAILED
            response.json({"error": {"code": 412, "message": "conditionNotMet"}})
            return
        upload(request, response, storage)

    return checked
