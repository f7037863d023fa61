"""A model's own tokenizer counts its tokens where it is at hand, and nothing is fetched for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from huggingface_api_handler.inference.tokenizers import tokenizer_of
from huggingface_api_handler.tasks.text_windows import estimate_tokens

pytest.importorskip("tokenizers", reason="the extra local is not installed")


def save_tokenizer(folder: Path, *words: str) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: number for number, word in enumerate(("[UNK]", "[CLS]", "[SEP]", "[PAD]", *words))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.enable_truncation(max_length=4)
    tokenizer.enable_padding(length=16)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put_into_cache(cache: Path, model: str, *words: str) -> None:
    """Lay out the Hub's cache as huggingface_hub does."""
    folder = cache / f"models--{model.replace('/', '--')}"
    save_tokenizer(folder / "snapshots" / "0123abc", *words)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0123abc", "utf-8")


def test_a_folder_with_a_tokenizer_counts_all_tokens_of_a_text_and_no_others(tmp_path: Path) -> None:
    count = tokenizer_of(str(save_tokenizer(tmp_path / "model", "one", "two")))
    assert count is not None
    assert [count(text) for text in ("", "one", "one two one", " ".join(["two"] * 500))] == [0, 1, 3, 500]


def test_one_in_the_cache_of_the_hub_is_found_and_kept(cache: Path) -> None:
    assert tokenizer_of("ann/model") is None
    put_into_cache(cache, "ann/model", "one")
    count = tokenizer_of("ann/model")
    assert count is not None
    assert count("one one") == 2
    assert tokenizer_of("ann/model") is count
    assert tokenizer_of("ann/model:fastest") is count
    assert tokenizer_of("ann/another") is None


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 1000, b"\xff\xfe", b'{"version": "1.0", "model": 3}'])
def test_a_file_that_is_no_tokenizer_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    assert tokenizer_of(str(tmp_path)) is None


@pytest.mark.parametrize(
    "model", ["", "a/b/c", "../..", "no such", "//host/share", "\\\\host\\share", "m\0n", "é" * 300]
)
def test_any_name_of_a_model_can_be_asked_about(cache: Path, model: str) -> None:
    assert tokenizer_of(model) is None


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tokenizer(tmp_path, "one")
    monkeypatch.setattr("huggingface_api_handler.inference.tokenizers._MAX_TOKENIZER_BYTES", 10)
    assert tokenizer_of(str(tmp_path)) is None


def test_a_text_that_it_cannot_read_is_estimated(tmp_path: Path) -> None:
    count = tokenizer_of(str(save_tokenizer(tmp_path, "one")))
    assert count is not None
    assert count("one \ud83d one") == estimate_tokens("one \ud83d one")


def test_without_the_package_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert tokenizer_of(str(save_tokenizer_elsewhere(tmp_path))) is None


def save_tokenizer_elsewhere(folder: Path) -> Path:
    """A file of which the package is not asked: it is not there."""
    (folder / "tokenizer.json").write_bytes(b"{}")
    return folder


def test_nothing_is_downloaded(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", connect)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert tokenizer_of("distilbert/distilbert-base-uncased") is None


def test_it_is_imported_when_it_is_needed() -> None:
    code = "import sys; import huggingface_api_handler.inference.tokenizers; sys.exit('tokenizers' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_to_find_none_imports_no_client_of_the_hub(tmp_path: Path) -> None:
    module = "huggingface_api_handler.inference.tokenizers"
    code = f"import sys, {module} as m; assert m.tokenizer_of('ann/model') is None; print(*sys.modules)"
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, env={**os.environ, "HF_HOME": str(tmp_path)}, capture_output=True, text=True, check=True)
    modules = done.stdout.split()
    assert "huggingface_hub.constants" in modules
    assert "huggingface_hub.file_download" not in modules
