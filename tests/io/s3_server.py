"""An S3 server on loopback: `moto_server`, which runs in an environment of its own, since it and tsx need not agree on
packages (`pipx install "moto[s3]" --preinstall flask --preinstall flask-cors`)."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import Request, urlopen

PROGRAM = shutil.which("moto_server")


@contextmanager
def s3_server(files: dict[str, Path]) -> Iterator[str]:
    """The address of a server whose bucket `bucket` has these files by their keys."""
    assert PROGRAM is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([PROGRAM, "-H", "127.0.0.1", "-p", str(port)], stdout=quiet, stderr=quiet)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address)
        _put(f"{address}/bucket", b"")
        for key, file in files.items():
            _put(f"{address}/bucket/{key}", file.read_bytes())
        yield address
    finally:
        process.terminate()
        process.wait()


def options(address: str, secret: str = "none") -> dict[str, str]:
    """What Polars needs to read from the server."""
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": secret, "aws_region": "us-east-1"}
    return {**keys, "aws_endpoint_url": address, "aws_allow_http": "true"}


def _put(place: str, content: bytes) -> None:
    kind = {"Content-Type": "application/octet-stream"}  # else the server waits for a form
    with urlopen(Request(place, content or None, kind, method="PUT"), timeout=60) as answer:
        assert answer.status == 200


def _wait_for(address: str) -> None:
    for _ in range(300):
        with suppress(OSError), urlopen(address):
            return
        time.sleep(0.1)
    raise TimeoutError(address)
