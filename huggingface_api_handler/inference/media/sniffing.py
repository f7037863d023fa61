"""The content type of media from its bytes alone: a name or a header that a server sent proves nothing.

Only the header of a file is read and nothing is decoded, so a decompression bomb costs nothing here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...errors import MediaError

MAX_PIXELS = 100_000_000
"""Maximum width times height of an image. A larger one is made to exhaust its decoder, or not worth sending."""

UNKNOWN_TYPE = "application/octet-stream"
"""The content type of bytes of which no more is known."""

_MAX_HEADER_ENTRIES = 10_000
"""Segments of a JPEG, or directories and entries of a TIFF, that are searched for the dimensions: files can be made
to lead the search in circles."""

_MIN_BMP_BYTES = 26  # the shortest header that holds the dimensions
_TEXT_HEAD_BYTES = 4096  # enough to tell a drawing or a web page from other text
_WEBM_HEAD_BYTES = 128  # the document type is one of the first elements of the header

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
    """A file format.

    Attributes:
        name: Its name, as an error shows it.
        content_types: For each kind of media that it can hold (``image``, ``audio``, ``video``), the content type.
    """

    name: str
    content_types: Mapping[str, str]


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

_FORMAT_BY_MAGIC = {
    b"\x89PNG\r\n\x1a\n": _PNG,
    b"\xff\xd8\xff": _JPEG,
    b"GIF87a": _GIF,
    b"GIF89a": _GIF,
    b"II*\0": _TIFF,
    b"MM\0*": _TIFF,
    b"fLaC": _FLAC,
    b"OggS\0": _OGG,
}
_FORMAT_BY_RIFF_TYPE = {b"WEBP": _WEBP, b"WAVE": _WAV, b"AVI ": _AVI}
_UNSUPPORTED_MP4_BRANDS = {
    b"qt  ": "a QuickTime video",
    **dict.fromkeys((b"avif", b"avis"), "an AVIF image"),
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"mif1", b"msf1"), "a HEIC image"),
}
_BMP_HEADER_SIZES_BYTES = (12, 16, 40, 52, 56, 64, 108, 124)
_JPEG_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_EBML_MAGIC = b"\x1aE\xdf\xa3"
_TIFF_WIDTH_TAG = 256
_TIFF_HEIGHT_TAG = 257
_TIFF_SHORT = 3
_WEBM_TYPE = re.compile(rb"\x42\x82.{1,8}?webm", re.S)

_MEDIA_TYPE = re.compile(r"\s*((image|audio|video)/[\w.+-]+)\s*(?:;|$)", re.I | re.A)
_JSON_BEGIN = re.compile(rb"""\s*[{\["]""")
_WEB_PAGE = "a web page (HTML)"
_TEXTS = (_WEB_PAGE, "XML", "text")
_CONTROL = re.compile("[\0-\x08\x0e-\x1a\x1c-\x1f]")  # in no text, but in raw samples of sound

_NAME_BY_MAGIC = {
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
    _EBML_MAGIC: "a Matroska video",
}


def validate_media(data: bytes, kind: str) -> str:
    """Check that bytes are media of a kind, and an image not larger than ``MAX_PIXELS``.

    Args:
        data: The bytes of a whole file.
        kind: ``image``, ``audio`` or ``video``.

    Returns:
        Their content type.

    Raises:
        MediaError: They are something else, empty, or an image that is damaged or too large. The text says what they
            look like.
    """
    if not data:
        raise MediaError(f"the {kind} is empty (0 bytes)")
    detected = _detect_format(data)
    content_type = detected.content_types.get(kind) if detected else None
    if content_type is None:
        actual = f"{_main_type(detected)} ({detected.name})" if detected else _describe_bytes(data)
        accepted = ", ".join(each.name for each in _FORMATS if kind in each.content_types)
        raise MediaError(f"the bytes are no {kind} that can be sent: they are {actual}. Accepted are {accepted}")
    if detected is not None and detected.name in _READ_DIMENSIONS:
        _reject_oversized_image(data, detected)
    return content_type


def content_type_of(data: bytes) -> str:
    """Detect the content type of bytes.

    Args:
        data: The bytes of a whole file.

    Returns:
        The content type, ``application/octet-stream`` for an unknown format.

    >>> content_type_of(b"fLaC")
    'audio/flac'
    >>> content_type_of(b"<svg/>")
    'application/octet-stream'
    """
    detected = _detect_format(data)
    return _main_type(detected) if detected else UNKNOWN_TYPE


def made_type(data: bytes, declared: str) -> str | None:
    """The content type of what a model made, where a server answers with media or with JSON.

    Many servers name no type, or a wrong one, so the bytes count. What they do not show, the server is believed.

    Args:
        data: The body of the response.
        declared: Its header ``Content-Type``, empty where there is none.

    Returns:
        The content type; None where the body is no image, audio or video, or is text whatever its header says.

    >>> made_type(b"fLaC", "application/octet-stream"), made_type(b"fLaC", "text/plain")
    ('audio/flac', 'audio/flac')
    >>> made_type(b'{"error": "busy"}', "image/png") is None
    True
    """
    name = _MEDIA_TYPE.match(declared)
    detected = None if _JSON_BEGIN.match(data) else _detect_format(data)
    if detected is not None:
        return detected.content_types.get(name[2].lower() if name else "") or _main_type(detected)
    return name[1].lower() if name and _describe_bytes(data) not in _TEXTS else None


def extension_of(content_type: str) -> str:
    """The file name extension of a content type.

    Args:
        content_type: Such as ``image/png``.

    Returns:
        The extension without its dot, ``bin`` for an unknown content type.

    >>> extension_of("audio/mp4")
    'm4a'
    """
    return _EXTENSIONS.get(content_type, "bin")


def _main_type(file_format: Format) -> str:
    return next(iter(file_format.content_types.values()))


def _detect_format(data: bytes) -> Format | None:
    for magic, file_format in _FORMAT_BY_MAGIC.items():
        if data.startswith(magic):
            return file_format
    if data[:4] == b"RIFF":
        return _FORMAT_BY_RIFF_TYPE.get(data[8:12])
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        if brand in _UNSUPPORTED_MP4_BRANDS or not re.fullmatch(rb"[\w .-]{4}", brand):
            return None
        return _M4A if brand in (b"M4A ", b"M4B ", b"M4P ") else _MP4
    if data[:4] == _EBML_MAGIC:
        return _WEBM if _WEBM_TYPE.search(data, 0, _WEBM_HEAD_BYTES) else None
    if (
        data[:2] == b"BM"
        and len(data) >= _MIN_BMP_BYTES
        and struct.unpack_from("<I", data, 14)[0] in _BMP_HEADER_SIZES_BYTES
    ):
        return _BMP
    return _MP3 if _is_mp3(data) else None


def _is_mp3(data: bytes) -> bool:
    if data[:3] == b"ID3":
        return len(data) > 10 and data[3] in (2, 3, 4) and all(size < 0x80 for size in data[6:10])
    if len(data) < 4:
        return False
    first, second, third = data[0], data[1], data[2]
    # Eleven bits of sync, an existing version and bit rate, layer III. The byte order mark of UTF-16 comes near this.
    is_frame = first == 0xFF and second & 0xE0 == 0xE0 and second & 0x06 == 0x02 and second & 0x18 != 0x08
    return is_frame and third >> 4 not in (0, 15) and third & 0x0C != 0x0C


def _describe_bytes(data: bytes) -> str:
    for magic, name in _NAME_BY_MAGIC.items():
        if data.startswith(magic):
            return name
    if data[4:8] == b"ftyp":
        return _UNSUPPORTED_MP4_BRANDS.get(data[8:12], "an unknown relative of MP4")
    if data[257:262] == b"ustar":
        return "a tar archive"
    head = data[:_TEXT_HEAD_BYTES]
    encoding = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}.get(head[:2], "utf-8-sig")
    text = head.decode(encoding, "replace").lower().lstrip()
    if _CONTROL.search(text) or text.count("�") > 1 + len(text) // 50:
        return "no known format"
    if text.startswith("<") and re.search(r"<(?:\w+:)?svg\b", text):
        return "an SVG drawing, which is a document with scripts and links; make a PNG of it"
    if text.startswith("<") and re.search(r"<!doctype html|<html\b|<head\b|<body\b|<script\b", text):
        return _WEB_PAGE
    return "XML" if text.startswith("<") else "text"


def _reject_oversized_image(data: bytes, detected: Format) -> None:
    try:
        width, height = _READ_DIMENSIONS[detected.name](data)
    except (struct.error, IndexError, ValueError):
        width = height = 0
    if width <= 0 or height <= 0:
        raise MediaError(f"the {detected.name} image is damaged or cut off: its header has no dimensions")
    if width * height > MAX_PIXELS:
        raise MediaError(
            f"the {detected.name} image claims {width} x {height} pixels, more than "
            f"{MAX_PIXELS // 1_000_000} megapixels. Scale it down"
        )


def _png_dimensions(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise ValueError
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _jpeg_dimensions(data: bytes) -> tuple[int, int]:
    offset = 2
    for _ in range(_MAX_HEADER_ENTRIES):
        if data[offset] != 0xFF:
            raise ValueError
        marker = data[offset + 1]
        if marker == 0xFF:  # a fill byte before a marker
            offset += 1
        elif marker in _JPEG_FRAME_MARKERS:
            height, width = struct.unpack_from(">HH", data, offset + 5)
            return width, height
        elif marker in (0xD9, 0xDA):
            raise ValueError
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            offset += 2
        else:
            offset += 2 + int(struct.unpack_from(">H", data, offset + 2)[0])
    raise ValueError


def _gif_dimensions(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp_dimensions(data: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", data, 14)[0] == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height)  # a negative height means rows from the top


def _webp_dimensions(data: bytes) -> tuple[int, int]:
    chunk_type = data[12:16]
    if chunk_type == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if chunk_type == b"VP8L" and data[20] == 0x2F:
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk_type == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError


def _tiff_dimensions(data: bytes) -> tuple[int, int]:
    """Of the largest page: any page of the file can be the bomb."""
    order = "<" if data[:2] == b"II" else ">"
    offset = struct.unpack_from(f"{order}I", data, 4)[0]
    largest, entries_read = (0, 0), 0
    while offset:
        entries = struct.unpack_from(f"{order}H", data, offset)[0]
        entries_read += 1 + entries
        if entries_read > _MAX_HEADER_ENTRIES:
            raise ValueError
        size = {_TIFF_WIDTH_TAG: 0, _TIFF_HEIGHT_TAG: 0}
        for entry in range(offset + 2, offset + 2 + 12 * entries, 12):
            tag, field_type = struct.unpack_from(f"{order}HH", data, entry)
            if tag in size:
                code = "H" if field_type == _TIFF_SHORT else "I"
                size[tag] = struct.unpack_from(f"{order}{code}", data, entry + 8)[0]
        largest = max(largest, (size[_TIFF_WIDTH_TAG], size[_TIFF_HEIGHT_TAG]), key=lambda page: page[0] * page[1])
        offset = struct.unpack_from(f"{order}I", data, offset + 2 + 12 * entries)[0]
    return largest


_READ_DIMENSIONS: dict[str, Callable[[bytes], tuple[int, int]]] = {
    "PNG": _png_dimensions,
    "JPEG": _jpeg_dimensions,
    "GIF": _gif_dimensions,
    "BMP": _bmp_dimensions,
    "WebP": _webp_dimensions,
    "TIFF": _tiff_dimensions,
}
