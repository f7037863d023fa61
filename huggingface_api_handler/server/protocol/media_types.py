"""Whether a body is an image, a sound or a video, by its first bytes."""

from __future__ import annotations

_SIGNATURES: tuple[tuple[int, bytes], ...] = (
    (0, b"\x89PNG\r\n\x1a\n"),
    (0, b"\xff\xd8\xff"),  # JPEG
    (0, b"GIF8"),
    (0, b"BM"),  # BMP
    (0, b"II*\x00"),  # TIFF
    (0, b"MM\x00*"),
    (0, b"\x00\x00\x01\x00"),  # ICO
    (0, b"RIFF"),  # WAV, WEBP, AVI
    (0, b"fLaC"),
    (0, b"OggS"),
    (0, b"ID3"),  # MP3 with tags
    (0, b"FORM"),  # AIFF
    (0, b".snd"),  # AU
    (0, b"#!AMR"),
    (0, b"caff"),
    (0, b"\x1aE\xdf\xa3"),  # Matroska, WebM
    (4, b"ftyp"),  # MP4, M4A, MOV, HEIC, AVIF
)
# MP3 and AAC without tags begin with eleven set bits.
_MPEG_SYNC_MASK = 0xE0


def is_media(content: bytes) -> bool:
    """Tell media from text.

    Args:
        content: A file, or its first 16 bytes.

    Returns:
        Whether it begins as a file of a known format does. No JSON does.
    """
    if any(content[start : start + len(signature)] == signature for start, signature in _SIGNATURES):
        return True
    return len(content) > 1 and content[0] == 0xFF and content[1] & _MPEG_SYNC_MASK == _MPEG_SYNC_MASK
