"""Image files to pixels."""

from __future__ import annotations

import importlib
import io
import warnings
from typing import TYPE_CHECKING, Any

from ..protocol.errors import HTTPError, invalid_image

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# A few kilobytes of PNG may unpack to gigabytes.
MAX_IMAGE_PIXELS = 50_000_000


def decode_image(content: bytes) -> npt.NDArray[np.uint8]:
    """Decode an image, turned as its EXIF orientation says; transparency becomes white.

    Args:
        content: An image file of any format that Pillow reads.

    Returns:
        Pixels of shape (height, width, 3), red green blue, 0 to 255.

    Raises:
        HTTPError: 400 for what is no image, 413 for over 50 million pixels.
    """
    import numpy as np

    pil_image: Any = importlib.import_module("PIL.Image")
    pil_operations: Any = importlib.import_module("PIL.ImageOps")
    try:
        with warnings.catch_warnings():
            # Pillow warns of large images; the limit here is the lower one, and raises.
            warnings.simplefilter("ignore")
            image = pil_image.open(io.BytesIO(content))
        if image.width * image.height > MAX_IMAGE_PIXELS:
            raise HTTPError(413, f"The image has over {MAX_IMAGE_PIXELS:,} pixels. Send a smaller one.")
        upright = pil_operations.exif_transpose(image).convert("RGBA")
        white = pil_image.new("RGBA", upright.size, "white")
        pixels: npt.NDArray[np.uint8] = np.asarray(pil_image.alpha_composite(white, upright).convert("RGB"))
    # Pillow's decoders raise nearly anything for damaged files; SyntaxError is among them.
    except (OSError, ValueError, SyntaxError, IndexError, KeyError, EOFError, pil_image.DecompressionBombError):
        raise invalid_image() from None
    return pixels
