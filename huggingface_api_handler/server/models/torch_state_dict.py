"""PyTorch's state dictionaries, read without PyTorch.

Format: before version 1.6 `torch.save` wrote five pickles (magic number, protocol, platform, the object, the storages'
keys), then each storage as a count and its numbers
(https://github.com/pytorch/pytorch/blob/v1.5.0/torch/serialization.py).
"""

from __future__ import annotations

import collections
import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_STORAGE_TYPES = {"FloatStorage": np.float32, "LongStorage": np.int64}
_COUNT_BYTES = 8


@dataclass(frozen=True)
class _TensorView:
    """A view of a storage that follows later in the file; start and strides count numbers, not bytes."""

    storage_key: str
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def resolve(self, storage: npt.NDArray[Any]) -> npt.NDArray[Any]:
        last = self.start + sum((side - 1) * stride for side, stride in zip(self.shape, self.strides, strict=True))
        if min(self.start, *self.shape, *self.strides, 0) < 0 or last >= storage.size:
            raise pickle.UnpicklingError(f"A tensor of shape {self.shape} reaches beyond its storage")
        strides_bytes = [stride * storage.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(storage[self.start :], self.shape, strides_bytes, writeable=False)


class _SafeUnpickler(pickle.Unpickler):
    """An unpickler for which a file may name nothing but dictionaries and tensors."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.storage_types: dict[str, type[np.float32 | np.int64]] = {}

    def find_class(self, module: str, name: str) -> type | Callable[..., _TensorView]:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _STORAGE_TYPES:
            return _STORAGE_TYPES[name]
        raise pickle.UnpicklingError(f"The weights name {module}.{name}, which is neither a dictionary nor a tensor")

    def persistent_load(self, pid: Any) -> str:
        _, storage_type, key, *_ = pid
        self.storage_types[key] = storage_type
        return str(key)


def _rebuild_tensor(
    storage_key: str, start: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _TensorView:
    return _TensorView(storage_key, start, shape, strides)


def read_state_dict(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of a state dictionary.

    Args:
        content: A file of `torch.save` before version 1.6.

    Returns:
        Arrays of float32 or int64 by name.

    Raises:
        pickle.UnpicklingError: The file is another one, or names other code to run.
    """
    file = io.BytesIO(content)
    if _SafeUnpickler(file).load() != _MAGIC_NUMBER:
        raise pickle.UnpicklingError("This is no file of torch.save before version 1.6")
    # Protocol and platform.
    _SafeUnpickler(file).load()
    _SafeUnpickler(file).load()
    unpickler = _SafeUnpickler(file)
    tensors = unpickler.load()
    storages = {}
    for key in _SafeUnpickler(file).load():
        dtype = np.dtype(unpickler.storage_types[key])
        count = int.from_bytes(file.read(_COUNT_BYTES), "little")
        storages[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    return {name: tensor.resolve(storages[tensor.storage_key]) for name, tensor in tensors.items()}
