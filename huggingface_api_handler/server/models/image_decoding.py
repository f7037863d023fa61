"""Image files to pixels."""

from __future__ import annotations

import importlib
import io
import warnings
from typing import TYPE_CHECKING, Any

from ..protocol.errors import invalid_image
from ..protocol.media_limits import MAX_IMAGE_PIXELS, image_too_large

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# Pillow runs Ghostscript for these.
_REFUSED_FORMATS = {"EPS"}
_STRIP_ROWS = 256


def decode_image(content: bytes) -> npt.NDArray[np.uint8]:
    """Decode an image, turned as its EXIF orientation says; transparency becomes white.

    Args:
        content: An image file of any format that Pillow reads, but EPS. Of an animation, the first picture.

    Returns:
        Pixels of shape (height, width, 3), red green blue, 0 to 255.

    Raises:
        HTTPError: 400 for what is no image, 413 for over 50 million pixels.
    """
    import numpy as np

    pil_image: Any = importlib.import_module("PIL.Image")
    image = open_image(content)
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    # Strip by strip: each step of the whole image would take 200 MB more.
    for top in range(0, image.height, _STRIP_ROWS):
        bottom = min(top + _STRIP_ROWS, image.height)
        strip = image.crop((0, top, image.width, bottom)).convert("RGBA")
        white = pil_image.new("RGBA", strip.size, "white")
        pixels[top:bottom] = pil_image.alpha_composite(white, strip).convert("RGB")
    return pixels


def open_image(content: bytes) -> Any:
    """Open an image and decode its pixels, turned as its EXIF orientation says.

    Args:
        content: As in `decode_image`.

    Returns:
        The Pillow image, in the mode of its file.

    Raises:
        HTTPError: As in `decode_image`.
    """
    pil_image: Any = importlib.import_module("PIL.Image")
    pil_operations: Any = importlib.import_module("PIL.ImageOps")
    # Pillow raises at twice this number, also for an image inside another file's frame, and warns from it on.
    pil_image.MAX_IMAGE_PIXELS = MAX_IMAGE_PIXELS // 2
    pil_image.init()
    formats = [name for name in pil_image.OPEN if name not in _REFUSED_FORMATS]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = pil_image.open(io.BytesIO(content), formats=formats)
            # Before anything is decoded: its size is in the header.
            if image.width * image.height > MAX_IMAGE_PIXELS:
                raise image_too_large()
            image.load()
            if image.width * image.height > MAX_IMAGE_PIXELS:
                raise image_too_large()
            pil_operations.exif_transpose(image, in_place=True)
    except pil_image.DecompressionBombError:
        raise image_too_large() from None
    # Pillow's decoders raise nearly anything for damaged files; SyntaxError is among them.
    except (OSError, ValueError, SyntaxError, IndexError, KeyError, EOFError):
        raise invalid_image() from None
    return image
