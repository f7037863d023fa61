"""Small files that decode to gigabytes."""

from __future__ import annotations

import io
import struct
import zlib

MAX_PEAK_MB = 450
"""What decoding one may take. The libraries take some 100 MB themselves."""

MANY_SAMPLES = (1 << 36) - 1
"""As many as a FLAC header can declare."""

PRINT_OUTCOME = """
from huggingface_api_handler.server.protocol.errors import HTTPError
try:
    print(decode(content).shape)
except HTTPError as error:
    print(error.status)
"""
"""Code for ``run_measured`` after a definition of ``decode``."""

_STREAMINFO_BYTES = 34
_MAX_BLOCK_SAMPLES = 65_535
_BITS = 16


def flac_silence(num_bytes: int, *, rate_hz: int = 16_000, declared_samples: int = 0) -> bytes:
    """A FLAC file of silence: 65,535 samples of one channel in every 14 bytes.

    Args:
        num_bytes: About how large the file is.
        rate_hz: Samples a second, as its header says.
        declared_samples: How many samples its header says that it has; 0 stands for unknown.

    Returns:
        The file.
    """
    packed = (rate_hz << 44) | (0 << 41) | ((_BITS - 1) << 36) | declared_samples
    streaminfo = struct.pack(">HH", _MAX_BLOCK_SAMPLES, _MAX_BLOCK_SAMPLES) + bytes(6)
    streaminfo += packed.to_bytes(8, "big") + bytes(16)
    content = bytearray(b"fLaC" + bytes([0x80]) + _STREAMINFO_BYTES.to_bytes(3, "big") + streaminfo)
    number = 0
    while len(content) < num_bytes:
        content += _flac_frame(number)
        number += 1
    return bytes(content)


def _flac_frame(number: int) -> bytes:
    """One constant block: sync, 16-bit block size, rate and bits of STREAMINFO, and a value of 0."""
    head = bytes([0xFF, 0xF8, 0x70, 0x00]) + _utf8(number) + struct.pack(">H", _MAX_BLOCK_SAMPLES - 1)
    frame = head + bytes([_crc(head, 0x07, 8)]) + bytes(3)
    return frame + struct.pack(">H", _crc(frame, 0x8005, 16))


def _utf8(number: int) -> bytes:
    """FLAC's numbers are written as UTF-8 writes characters, surrogates included."""
    return chr(number).encode("utf-8", "surrogatepass")


def _crc(content: bytes, polynomial: int, bits: int) -> int:
    value, top, mask = 0, 1 << (bits - 1), (1 << bits) - 1
    for byte in content:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = ((value << 1) ^ (polynomial if value & top else 0)) & mask
    return value


def png(width: int, height: int) -> bytes:
    """A PNG file of black: a thousandth of its pixels' bytes.

    Args:
        width: Its pixels.
        height: Its rows.

    Returns:
        The file, in shades of grey.
    """
    deflate = zlib.compressobj(9)
    row = bytes(1 + width)
    rows = b"".join(deflate.compress(row) for _ in range(height)) + deflate.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def icon(width: int, height: int) -> bytes:
    """An ICO file that says 16 by 16 and holds a larger PNG.

    Args:
        width: Pixels of the PNG.
        height: Its rows.

    Returns:
        The file.
    """
    image = png(width, height)
    file = io.BytesIO()
    file.write(struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(image), 22) + image)
    return file.getvalue()
