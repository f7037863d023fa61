"""What media bytes are, from the bytes alone: a name or a header that a server sent proves nothing.

Headers only are read and nothing is decoded, so that a file made to exhaust a decoder costs nothing here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...errors import MediaError

MOST_PIXELS = 100_000_000
"""Width times height of an image. More than that is made to exhaust whoever decodes it, or not worth sending."""

_MOST_PARTS = 10_000
"""Segments of a JPEG or directories of a TIFF that are walked through in search of the dimensions."""

_EXTENSIONS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/bmp": "bmp",
    "image/tiff": "tiff",
    "audio/wav": "wav",
    "audio/flac": "flac",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/mp4": "m4a",
    "audio/webm": "weba",
    "video/mp4": "mp4",
    "video/webm": "webm",
    "video/x-msvideo": "avi",
}


@dataclass(frozen=True)
class Format:
    """A file format, and its content type as each kind of media that it can hold."""

    name: str
    types: Mapping[str, str]


_PNG = Format("PNG", {"image": "image/png"})
_JPEG = Format("JPEG", {"image": "image/jpeg"})
_GIF = Format("GIF", {"image": "image/gif"})
_WEBP = Format("WebP", {"image": "image/webp"})
_BMP = Format("BMP", {"image": "image/bmp"})
_TIFF = Format("TIFF", {"image": "image/tiff"})
_WAV = Format("WAV", {"audio": "audio/wav"})
_FLAC = Format("FLAC", {"audio": "audio/flac"})
_MP3 = Format("MP3", {"audio": "audio/mpeg"})
_OGG = Format("Ogg", {"audio": "audio/ogg"})
_M4A = Format("M4A", {"audio": "audio/mp4"})
_MP4 = Format("MP4", {"video": "video/mp4", "audio": "audio/mp4"})
_WEBM = Format("WebM", {"video": "video/webm", "audio": "audio/webm"})
_AVI = Format("AVI", {"video": "video/x-msvideo"})
_FORMATS = (_PNG, _JPEG, _GIF, _WEBP, _BMP, _TIFF, _WAV, _FLAC, _MP3, _OGG, _M4A, _MP4, _WEBM, _AVI)

_MAGIC = {
    b"\x89PNG\r\n\x1a\n": _PNG,
    b"\xff\xd8\xff": _JPEG,
    b"GIF87a": _GIF,
    b"GIF89a": _GIF,
    b"II*\0": _TIFF,
    b"MM\0*": _TIFF,
    b"fLaC": _FLAC,
    b"OggS\0": _OGG,
}
_RIFF = {b"WEBP": _WEBP, b"WAVE": _WAV, b"AVI ": _AVI}
_OTHER_BRANDS = {
    b"qt  ": "a QuickTime video",
    **dict.fromkeys((b"avif", b"avis"), "an AVIF image"),
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"mif1", b"msf1"), "a HEIC image"),
}
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
_FRAMES_OF_JPEG = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_EBML = b"\x1aE\xdf\xa3"
_WEBM_TYPE = re.compile(rb"\x42\x82.{1,8}?webm", re.S)

_OTHER_FILES = {
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "a zip archive",
    b"\x1f\x8b": "gzip-compressed data",
    b"BZh": "bzip2-compressed data",
    b"\xfd7zXZ\0": "xz-compressed data",
    b"\x28\xb5\x2f\xfd": "zstd-compressed data",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"%PDF-": "a PDF document",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"SQLite format 3\0": "a SQLite database",
    _EBML: "a Matroska video",
}


def checked_type(data: bytes, kind: str) -> str:
    """The content type of ``data`` as ``kind`` ('image', 'audio' or 'video').

    Raises MediaError, which says what the bytes look like, where they are no such media.
    """
    if not data:
        raise MediaError(f"the {kind} is empty (0 bytes)")
    found = _format(data)
    content_type = found.types.get(kind) if found else None
    if content_type is None:
        seen = f"{next(iter(found.types.values()))} ({found.name})" if found else _looks_like(data)
        accepted = ", ".join(form.name for form in _FORMATS if kind in form.types)
        raise MediaError(f"the bytes are no {kind} that can be sent: they are {seen}. Accepted are {accepted}")
    if found is not None and found.name in _DIMENSIONS:
        _refuse_oversized(data, found)
    return content_type


def content_type_of(data: bytes) -> str:
    """The content type of ``data``; ``application/octet-stream`` where it is none of the known ones."""
    found = _format(data)
    return next(iter(found.types.values())) if found else "application/octet-stream"


def extension_of(content_type: str) -> str:
    """The file name extension of a known content type, without its dot; ``bin`` for any other."""
    return _EXTENSIONS.get(content_type, "bin")


def _format(data: bytes) -> Format | None:
    for magic, found in _MAGIC.items():
        if data.startswith(magic):
            return found
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12])
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        if brand in _OTHER_BRANDS or not re.fullmatch(rb"[\w .-]{4}", brand):
            return None
        return _M4A if brand in (b"M4A ", b"M4B ", b"M4P ") else _MP4
    if data[:4] == _EBML:
        return _WEBM if _WEBM_TYPE.search(data, 0, 128) else None
    if data[:2] == b"BM" and len(data) >= 26 and struct.unpack_from("<I", data, 14)[0] in _BMP_HEADERS:
        return _BMP
    return _MP3 if _is_mp3(data) else None


def _is_mp3(data: bytes) -> bool:
    if data[:3] == b"ID3":
        return len(data) > 10 and data[3] in (2, 3, 4) and all(size < 0x80 for size in data[6:10])
    if len(data) < 4:
        return False
    first, second, third = data[0], data[1], data[2]
    # Eleven bits of sync, a version and a bit rate that exist, layer III: a byte order mark of UTF-16 is near this.
    in_sync = first == 0xFF and second & 0xE0 == 0xE0 and second & 0x06 == 0x02 and second & 0x18 != 0x08
    return in_sync and third >> 4 not in (0, 15) and third & 0x0C != 0x0C


def _looks_like(data: bytes) -> str:
    for magic, name in _OTHER_FILES.items():
        if data.startswith(magic):
            return name
    if data[4:8] == b"ftyp":
        return _OTHER_BRANDS.get(data[8:12], "an unknown relative of MP4")
    if data[257:262] == b"ustar":
        return "a tar archive"
    head = data[:4096]
    encoding = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}.get(head[:2], "utf-8-sig")
    text = head.decode(encoding, "replace").lower().lstrip()
    if "\0" in text or text.count("�") > 1 + len(text) // 50:
        return "no known format"
    if text.startswith("<") and re.search(r"<(?:\w+:)?svg\b", text):
        return "an SVG drawing, which is a document with scripts and links; make a PNG of it"
    if text.startswith("<") and re.search(r"<!doctype html|<html\b|<head\b|<body\b|<script\b", text):
        return "a web page (HTML)"
    return "XML" if text.startswith("<") else "text"


def _refuse_oversized(data: bytes, found: Format) -> None:
    try:
        width, height = _DIMENSIONS[found.name](data)
    except (struct.error, IndexError, ValueError):
        width = height = 0
    if width <= 0 or height <= 0:
        raise MediaError(f"the {found.name} image is damaged or cut off: its header has no dimensions")
    if width * height > MOST_PIXELS:
        raise MediaError(
            f"the {found.name} image claims {width} x {height} pixels, more than "
            f"{MOST_PIXELS // 1_000_000} megapixels. Scale it down"
        )


def _png(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise ValueError
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _jpeg(data: bytes) -> tuple[int, int]:
    at = 2
    for _ in range(_MOST_PARTS):
        if data[at] != 0xFF:
            raise ValueError
        marker = data[at + 1]
        if marker == 0xFF:  # fill before a marker
            at += 1
        elif marker in _FRAMES_OF_JPEG:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        elif marker in (0xD9, 0xDA):
            raise ValueError
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        else:
            at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    raise ValueError


def _gif(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp(data: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", data, 14)[0] == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height)  # a negative height means rows from the top


def _webp(data: bytes) -> tuple[int, int]:
    form = data[12:16]
    if form == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if form == b"VP8L" and data[20] == 0x2F:
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if form == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError


def _tiff(data: bytes) -> tuple[int, int]:
    """The largest page's: a page further back can be the bomb."""
    order = "<" if data[:2] == b"II" else ">"
    at = struct.unpack_from(f"{order}I", data, 4)[0]
    largest, walked = (0, 0), 0
    while at:
        entries = struct.unpack_from(f"{order}H", data, at)[0]
        walked += 1 + entries
        if walked > _MOST_PARTS:
            raise ValueError
        size = {256: 0, 257: 0}
        for entry in range(at + 2, at + 2 + 12 * entries, 12):
            tag, of_type = struct.unpack_from(f"{order}HH", data, entry)
            if tag in size:
                size[tag] = struct.unpack_from(f"{order}{'H' if of_type == 3 else 'I'}", data, entry + 8)[0]
        largest = max(largest, (size[256], size[257]), key=lambda page: page[0] * page[1])
        at = struct.unpack_from(f"{order}I", data, at + 2 + 12 * entries)[0]
    return largest


_DIMENSIONS: dict[str, Callable[[bytes], tuple[int, int]]] = {
    "PNG": _png,
    "JPEG": _jpeg,
    "GIF": _gif,
    "BMP": _bmp,
    "WebP": _webp,
    "TIFF": _tiff,
}
