"""English and Portuguese."""

from __future__ import annotations

import subprocess
import sys

from starlette.testclient import TestClient

from .conftest import ask

ENGLISH = "local/translation-en-pt"
PORTUGUESE = "local/translation-pt-en"
MODELS = (ENGLISH, PORTUGUESE)


def test_one_text_and_a_list_have_the_recorded_shape(client: TestClient) -> None:
    answer = ask(client, "Helsinki-NLP/opus-mt-en-pt", "My name is Wolfgang and I live in Berlin.")
    assert answer == [{"translation_text": "Meu nome é Wolfgang e moro em Berlim."}]
    both = ask(client, ENGLISH, ["My name is Wolfgang and I live in Berlin.", " "])
    assert both == [*answer, {"translation_text": " "}]


def test_the_way_back(client: TestClient) -> None:
    [answer] = ask(client, PORTUGUESE, "Onde fica a estação de trem?")
    assert answer["translation_text"] == "Where is the train station?"


def test_the_model_s_own_languages_may_be_named(client: TestClient) -> None:
    plain = ask(client, ENGLISH, "Good morning.")
    assert ask(client, ENGLISH, "Good morning.", src_lang="eng_Latn", tgt_lang="por_Latn") == plain
    for wrong in ({"tgt_lang": "fr"}, {"src_lang": "pt"}, {"tgt_lang": 3}, {"max_tokens": 3}):
        refused = client.post(f"/models/{ENGLISH}", json={"inputs": "x", "parameters": wrong})
        assert refused.status_code == 400


def test_too_long_a_text_is_413(client: TestClient) -> None:
    assert client.post(f"/models/{ENGLISH}", json={"inputs": "a" * 5001}).status_code == 413


def test_the_process_outlives_the_threads_that_loaded_and_asked() -> None:
    """Native code died when a thread had the address of one that had loaded it and ended."""
    code = """
import threading
from huggingface_api_handler.server.models import translation

def work():
    seen.append(threading.get_ident())
    print(translation.CARDS[len(seen) % 2].load().predict(["Good morning."], {}))

seen = []
for _ in range(6):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
assert len(set(seen)) < 6, "no address was used again: this shows nothing"
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0 and "Bom dia." in ended.stdout, ended.stderr
