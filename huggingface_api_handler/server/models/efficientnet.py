"""EfficientNet-Lite0 in NumPy: pixels to the logits of ImageNet's 1,000 classes.

Network: https://arxiv.org/abs/1905.11946, without squeeze-and-excitation and with ReLU6, as published by TensorFlow
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float32]

IMAGE_SIDE_PIXELS = 224
_STEM_STRIDE = 2
# Of the 16 blocks; every other size is read off the weights.
_BLOCK_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
_BATCH_NORM_EPSILON = 1e-3
# Pixels become (value - mean) / scale, about -1 to 1.
_PIXEL_MEAN = np.float32(127)
_PIXEL_SCALE = np.float32(128)


class EfficientNet:
    """The network; safe to call from several threads at once."""

    def __init__(self, weights: Mapping[str, Array]) -> None:
        """Take the weights apart.

        Args:
            weights: Arrays by the names of PyTorch's state dictionary.

        Raises:
            KeyError: One is missing.
        """
        self._stem = _fold_batch_norm(weights, "_conv_stem", "_bn0")
        self._blocks = [_block(weights, f"_blocks.{index}", stride) for index, stride in enumerate(_BLOCK_STRIDES)]
        self._head = _fold_batch_norm(weights, "_conv_head", "_bn1")
        self._classifier_weight = weights["_fc.weight"]
        self._classifier_bias = weights["_fc.bias"]

    def logits(self, pixels: Array) -> Array:
        """Run the network on one image.

        Args:
            pixels: Pixels of shape (224, 224, 3), red green blue, 0 to 255.

        Returns:
            Logits of shape (1000,).
        """
        features = _relu6(_conv2d((pixels - _PIXEL_MEAN) / _PIXEL_SCALE, *self._stem, _STEM_STRIDE))
        for block in self._blocks:
            before = features
            if block.expand is not None:
                features = _relu6(_pointwise_conv(features, *block.expand))
            features = _relu6(_depthwise_conv(features, *block.depthwise, block.stride))
            features = _pointwise_conv(features, *block.project)
            if features.shape == before.shape:
                features += before
        pooled = _relu6(_pointwise_conv(features, *self._head)).mean(axis=(0, 1))
        logits: Array = self._classifier_weight @ pooled + self._classifier_bias
        return logits


class _Convolution(NamedTuple):
    """Kernel of shape (height, width, channels in, channels out), and bias of shape (channels out,)."""

    kernel: Array
    bias: Array


class _Block(NamedTuple):
    """An inverted residual block; the first one does not expand."""

    expand: _Convolution | None
    depthwise: _Convolution
    project: _Convolution
    stride: int


def _block(weights: Mapping[str, Array], name: str, stride: int) -> _Block:
    expands = f"{name}._expand_conv.weight" in weights
    return _Block(
        _fold_batch_norm(weights, f"{name}._expand_conv", f"{name}._bn0") if expands else None,
        _fold_batch_norm(weights, f"{name}._depthwise_conv", f"{name}._bn1"),
        _fold_batch_norm(weights, f"{name}._project_conv", f"{name}._bn2"),
        stride,
    )


def _fold_batch_norm(weights: Mapping[str, Array], convolution: str, norm: str) -> _Convolution:
    """Make one convolution of a convolution and the batch normalisation after it."""
    scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + _BATCH_NORM_EPSILON)
    kernel = weights[f"{convolution}.weight"].transpose(2, 3, 1, 0) * scale
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    return _Convolution(np.ascontiguousarray(kernel), bias)


def _relu6(values: Array) -> Array:
    return np.clip(values, 0, 6, out=values)


def _pointwise_conv(values: Array, kernel: Array, bias: Array) -> Array:
    return np.asarray(values @ kernel[0, 0] + bias)


def _depthwise_conv(values: Array, kernel: Array, bias: Array, stride: int) -> Array:
    """Apply one kernel for each channel: (height, width, channels) to the same, by the stride smaller."""
    total: Array | float = 0
    for weight, part in _kernel_windows(values, kernel, stride):
        total = part * weight[0] + total
    return np.asarray(total + bias, np.float32)


def _conv2d(values: Array, kernel: Array, bias: Array, stride: int) -> Array:
    """Compute every channel out from every channel in."""
    total: Array | float = 0
    for weight, part in _kernel_windows(values, kernel, stride):
        total = part @ weight + total
    return np.asarray(total + bias, np.float32)


def _kernel_windows(values: Array, kernel: Array, stride: int) -> Iterator[tuple[Array, Array]]:
    """Yield, for each place in the kernel, its weights, (channels in, channels out), and the values under it.

    Zeros around as TensorFlow puts them: for an odd number, the one more is at the bottom and at the right.
    """
    size = kernel.shape[0]
    sides = [-(-side // stride) for side in values.shape[:2]]
    padding = [max((out - 1) * stride + size - side, 0) for out, side in zip(sides, values.shape[:2], strict=True)]
    padded = np.pad(values, [*((both // 2, both - both // 2) for both in padding), (0, 0)])
    for row in range(size):
        for column in range(size):
            rows = slice(row, row + (sides[0] - 1) * stride + 1, stride)
            columns = slice(column, column + (sides[1] - 1) * stride + 1, stride)
            yield kernel[row, column], padded[rows, columns]
