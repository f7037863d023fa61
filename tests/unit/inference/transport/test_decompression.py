"""A compressed answer that unpacks to hundreds of megabytes is given up before it has filled the memory.

That is aiohttp's doing as much as ours: before 3.13.3 it unpacked each piece as a whole. `make test-floors` runs this with
the least aiohttp that requirements.txt allows.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest

from tests.support.memory import run_measured

UNPACKED_MB = 1_000
MAX_PEAK_MB = 600
"""The answer may have 256 MB, or a lower bound, which are held twice as they are joined."""

ASK = """
import asyncio, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
import huggingface_api_handler.inference.transport.client as client

ENCODING = {encoding!r}

class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.send_header("content-encoding", ENCODING)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        try:
            self.wfile.write(content)
        except OSError:
            pass

    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
http = client.HttpClient()

async def ask():
    await http.post(f"http://127.0.0.1:{{server.server_port}}/", b"", {{}}, 60)

try:
    http.submit(ask()).result()
    print("read")
except Exception as error:
    print(type(error).__name__)
"""


def gzip() -> bytes:
    compressor = zlib.compressobj(9, wbits=31)
    head, piece = (compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return head + piece * UNPACKED_MB


def brotli() -> bytes:
    module = pytest.importorskip("brotli", reason="NOT TESTED: brotli is not installed")
    compressor = module.Compressor(quality=2)
    return b"".join(compressor.process(bytes(1 << 20)) for _ in range(UNPACKED_MB)) + bytes(compressor.finish())


def zstd() -> bytes:
    module = pytest.importorskip("backports.zstd", reason="NOT TESTED: backports.zstd is not installed")
    compressor = module.ZstdCompressor()
    return b"".join(compressor.compress(bytes(1 << 20)) for _ in range(UNPACKED_MB)) + bytes(compressor.flush())


@pytest.mark.parametrize(("encoding", "packed"), [("gzip", gzip), ("br", brotli), ("zstd", zstd)])
def test_an_answer_that_unpacks_to_a_gigabyte_does_not_fill_the_memory(
    encoding: str, packed: Callable[[], bytes]
) -> None:
    outcome, peak_mb = run_measured(ASK.format(encoding=encoding), packed())
    assert outcome in ("ResponseTooLarge", "ClientPayloadError") and peak_mb < MAX_PEAK_MB
