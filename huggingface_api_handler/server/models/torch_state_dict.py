"""PyTorch's state dictionaries, read without PyTorch.

Format: before version 1.6 `torch.save` wrote five pickles (magic number, protocol, platform, the object, the storages'
keys), then each storage as a count and its numbers
(https://github.com/pytorch/pytorch/blob/v1.5.0/torch/serialization.py).
"""

from __future__ import annotations

import collections
import io
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_MAGIC = 0x1950A86A20F9469CFC6C
_TYPES = {"FloatStorage": np.float32, "LongStorage": np.int64}


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage that follows later in the file."""

    key: str
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def of(self, storage: npt.NDArray[Any]) -> npt.NDArray[Any]:
        last = self.start + sum((side - 1) * stride for side, stride in zip(self.shape, self.strides, strict=True))
        if min(self.start, *self.shape, *self.strides, 0) < 0 or last >= storage.size:
            raise pickle.UnpicklingError(f"A tensor of shape {self.shape} reaches beyond its storage")
        strides = [stride * storage.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(storage[self.start :], self.shape, strides, writeable=False)


class _Unpickler(pickle.Unpickler):
    """A pickle that may name nothing but dictionaries and tensors."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise pickle.UnpicklingError(f"The weights name {module}.{name}, which is neither a dictionary nor a tensor")

    def persistent_load(self, pid: Any) -> Any:
        _, kind, key, *_ = pid
        self.kinds[key] = kind
        return key

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.kinds: dict[str, Any] = {}


def _tensor(key: str, start: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> _Tensor:
    return _Tensor(key, start, shape, strides)


def read_state_dict(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """Arrays by name. Raises pickle.UnpicklingError for any other file, and for one that names other code to run."""
    file = io.BytesIO(content)
    if _Unpickler(file).load() != _MAGIC:
        raise pickle.UnpicklingError("This is no file of torch.save before version 1.6")
    _Unpickler(file).load()
    _Unpickler(file).load()
    unpickler = _Unpickler(file)
    tensors = unpickler.load()
    storages = {}
    for key in _Unpickler(file).load():
        kind = np.dtype(unpickler.kinds[key])
        count = int.from_bytes(file.read(8), "little")
        storages[key] = np.frombuffer(file.read(count * kind.itemsize), kind)
    return {name: tensor.of(storages[tensor.key]) for name, tensor in tensors.items()}
