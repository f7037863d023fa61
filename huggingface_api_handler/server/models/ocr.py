"""image-to-text: the text in an image, by PaddleOCR's small models (RapidOCR)."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..model_card import ModelCard
from ..protocol.inputs import parse_image
from ..protocol.json_types import Parameters
from ..protocol.outputs import GeneratedText
from ..protocol.parameters import reject_unknown
from ..weights import WeightsPackage, combined_sha256, package_folder, verify_sha256
from .image_decoding import decode_image

PACKAGE = WeightsPackage("rapidocr-onnxruntime", "1.4.4", "Apache-2.0")
FILE_SHA256 = {
    "ch_PP-OCRv4_det_infer.onnx": "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
    "ch_PP-OCRv4_rec_infer.onnx": "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
    "ch_ppocr_mobile_v2.0_cls_infer.onnx": "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
}


class OCREngine(Protocol):
    """The part of `rapidocr_onnxruntime.RapidOCR` that is used here."""

    def __call__(self, pixels: npt.NDArray[np.uint8], /) -> tuple[Sequence[tuple[object, str, float]] | None, object]:
        """Find lines of text.

        Args:
            pixels: Pixels of shape (height, width, 3), blue green red.

        Returns:
            Box, text and score of each line, or None when there is none; and times.
        """


@dataclass(frozen=True)
class TextRecognizer:
    """An image to `{"generated_text": ...}`: the lines found, top to bottom; empty when there is no text.

    Attributes:
        engine: The loaded engine.
    """

    engine: OCREngine

    def predict(self, inputs: list[bytes], parameters: Parameters) -> list[GeneratedText]:
        """Read the text in images.

        Args:
            inputs: Image files.
            parameters: There are none.

        Returns:
            The text of each image.

        Raises:
            HTTPError: 400 for bytes that are no image and for any parameter, 413 for over 50 million pixels.
        """
        reject_unknown(parameters, CARD.task, ())
        return [{"generated_text": self._text(content)} for content in inputs]

    def _text(self, content: bytes) -> str:
        # The engine was made for OpenCV's order of colours.
        lines, _ = self.engine(decode_image(content)[:, :, ::-1])
        return "\n".join(text for _, text, _ in lines or [])


def _load() -> TextRecognizer:
    folder = package_folder("rapidocr_onnxruntime", "local-all") / "models"
    for name, sha256 in FILE_SHA256.items():
        verify_sha256(folder / name, sha256, PACKAGE.reinstall_command())
    package: Any = importlib.import_module("rapidocr_onnxruntime")
    return TextRecognizer(package.RapidOCR())


CARD: ModelCard[bytes, GeneratedText] = ModelCard(
    name="local/ocr-rapid",
    task="image-to-text",
    load=_load,
    parse_inputs=parse_image,
    package=PACKAGE,
    quality=(
        "PP-OCRv4 mobile: reads printed Chinese and English, one line of text for each line found. Not a captioning "
        "model: it describes no picture, and one without writing gives an empty text. Words of a line sometimes run "
        "together. Needs Python below 3.13."
    ),
    sha=lambda: combined_sha256(FILE_SHA256.values()),
    hub_alias="Salesforce/blip-image-captioning-large",
    wrap_single=True,
    required_modules=("rapidocr_onnxruntime",),
    extra="local-all",
)
