"""EfficientNet-Lite0 in NumPy: pixels to the scores of ImageNet's 1,000 classes.

Network: https://arxiv.org/abs/1905.11946, without squeeze-and-excitation and with ReLU6, as published by TensorFlow
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

IMAGE_SIDE_PIXELS = 224
_STEM_STRIDE = 2
# Of the 16 blocks; every other size is read off the weights.
_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
_EPSILON = 1e-3


class EfficientNet:
    """The network; safe to call from several threads at once."""

    def __init__(self, weights: Mapping[str, Array]) -> None:
        """`weights` by the names of PyTorch's state dictionary. Raises KeyError when one is missing."""
        self._stem = _folded(weights, "_conv_stem", "_bn0")
        self._blocks = [_block(weights, f"_blocks.{index}", stride) for index, stride in enumerate(_STRIDES)]
        self._head = _folded(weights, "_conv_head", "_bn1")
        self._classes = weights["_fc.weight"], weights["_fc.bias"]

    def logits(self, pixels: Array) -> Array:
        """Pixels of shape (224, 224, 3), red green blue, 0 to 255, to 1,000 logits."""
        features = _relu6(_convolved((pixels - np.float32(127)) / np.float32(128), *self._stem, _STEM_STRIDE))
        for expand, depthwise, project, stride in self._blocks:
            before = features
            if expand is not None:
                features = _relu6(_pointwise(features, *expand))
            features = _pointwise(_relu6(_depthwise(features, *depthwise, stride)), *project)
            if features.shape == before.shape:
                features += before
        pooled = _relu6(_pointwise(features, *self._head)).mean(axis=(0, 1))
        weight, bias = self._classes
        logits: Array = weight @ pooled + bias
        return logits


_Kernel = tuple[Array, Array]


def _block(weights: Mapping[str, Array], name: str, stride: int) -> tuple[_Kernel | None, _Kernel, _Kernel, int]:
    expanded = f"{name}._expand_conv.weight" in weights
    return (
        _folded(weights, f"{name}._expand_conv", f"{name}._bn0") if expanded else None,
        _folded(weights, f"{name}._depthwise_conv", f"{name}._bn1"),
        _folded(weights, f"{name}._project_conv", f"{name}._bn2"),
        stride,
    )


def _folded(weights: Mapping[str, Array], convolution: str, norm: str) -> _Kernel:
    """Kernel (height, width, channels in, channels out) and bias of a convolution with the normalisation after it."""
    scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + _EPSILON)
    kernel = weights[f"{convolution}.weight"].transpose(2, 3, 1, 0) * scale
    return np.ascontiguousarray(kernel), weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale


def _relu6(values: Array) -> Array:
    return np.clip(values, 0, 6, out=values)


def _pointwise(values: Array, kernel: Array, bias: Array) -> Array:
    return np.asarray(values @ kernel[0, 0] + bias)


def _depthwise(values: Array, kernel: Array, bias: Array, stride: int) -> Array:
    """One kernel for each channel: (height, width, channels) to the same, by the stride smaller."""
    total: Array | float = 0
    for weight, part in _shifted(values, kernel, stride):
        total = part * weight[0] + total
    return np.asarray(total + bias, np.float32)


def _convolved(values: Array, kernel: Array, bias: Array, stride: int) -> Array:
    """Every channel out from every channel in."""
    total: Array | float = 0
    for weight, part in _shifted(values, kernel, stride):
        total = part @ weight + total
    return np.asarray(total + bias, np.float32)


def _shifted(values: Array, kernel: Array, stride: int) -> Iterator[tuple[Array, Array]]:
    """For each place in the kernel its weights, (channels in, channels out), and the values under it.

    Zeros around as TensorFlow puts them: for an odd number, the one more is at the bottom and at the right.
    """
    size = kernel.shape[0]
    sides = [-(-side // stride) for side in values.shape[:2]]
    around = [max((out - 1) * stride + size - side, 0) for out, side in zip(sides, values.shape[:2], strict=True)]
    padded = np.pad(values, [*((both // 2, both - both // 2) for both in around), (0, 0)])
    for row in range(size):
        for column in range(size):
            rows = slice(row, row + (sides[0] - 1) * stride + 1, stride)
            columns = slice(column, column + (sides[1] - 1) * stride + 1, stride)
            yield kernel[row, column], padded[rows, columns]
