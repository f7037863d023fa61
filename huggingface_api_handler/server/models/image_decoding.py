"""Image files to pixels."""

from __future__ import annotations

import importlib
import io
import warnings
from typing import TYPE_CHECKING, Any

from ..protocol.errors import HTTPError
from ..protocol.media_inputs import invalid_image

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# A few kilobytes of PNG may unpack to gigabytes.
MAX_IMAGE_PIXELS = 50_000_000


def decode_image(content: bytes) -> npt.NDArray[np.uint8]:
    """Pixels of shape (height, width, 3), red green blue, turned upright; transparency becomes white.

    Raises HTTPError 400 for what is no image Pillow reads, 413 for over 50 million pixels.
    """
    import numpy as np

    image_module: Any = importlib.import_module("PIL.Image")
    operations: Any = importlib.import_module("PIL.ImageOps")
    try:
        with warnings.catch_warnings():
            # Pillow warns of large images; the limit here is the lower one, and refuses.
            warnings.simplefilter("ignore")
            picture = image_module.open(io.BytesIO(content))
        if picture.width * picture.height > MAX_IMAGE_PIXELS:
            raise HTTPError(413, f"The image has over {MAX_IMAGE_PIXELS:,} pixels. Send a smaller one.")
        layers = operations.exif_transpose(picture).convert("RGBA")
        white = image_module.new("RGBA", layers.size, "white")
        pixels: npt.NDArray[np.uint8] = np.asarray(image_module.alpha_composite(white, layers).convert("RGB"))
    # Pillow's decoders raise nearly anything for damaged files; SyntaxError is among them.
    except (OSError, ValueError, SyntaxError, IndexError, KeyError, EOFError, image_module.DecompressionBombError):
        raise invalid_image() from None
    return pixels
