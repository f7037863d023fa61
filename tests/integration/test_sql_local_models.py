"""Images, speech, translation and chat in SQL, answered by the real models of the extra `local-all`."""

from __future__ import annotations

import re
import shutil
import sys
import wave
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest
import sklearn.datasets
from PIL import Image, ImageDraw, ImageFont

from huggingface_api_handler.demo.mindsdb_server import MindsDB
from tests.integration.conftest import rows_of

Create = Callable[[str, str, str], str]
SENTENCES = {
    1: "The weather in London is cold and rainy today.",
    2: "Please call me back tomorrow morning about the invoice.",
}
LINES = {"invoice.png": "Invoice number 2047", "total.png": "Total due: 319.50 EUR"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photographs that scikit-learn ships, and two pictures of a printed line."""
    folder = tmp_path_factory.mktemp("media")
    for name in ("china.jpg", "flower.jpg"):
        shutil.copy(Path(sklearn.datasets.__file__).parent / "images" / name, folder)
    for name, line in LINES.items():
        image = Image.new("RGB", (700, 120), "white")
        ImageDraw.Draw(image).text((30, 30), line, fill="black", font=ImageFont.load_default(44))
        image.save(folder / name)
    return folder


@pytest.fixture(scope="module")
def media_engine(mindsdb: MindsDB, inference: str, folder: Path) -> str:
    """Reads media from `folder` and keeps what models make there."""
    mindsdb.sql(
        f"CREATE ML_ENGINE hf_media FROM huggingface_api USING endpoint = '{inference}/models', "
        f"media_dir = '{folder}', output_dir = '{folder}'"
    )
    return "hf_media"


@pytest.fixture
def model(mindsdb: MindsDB, media_engine: str) -> Create:
    def create(name: str, target: str, using: str) -> str:
        mindsdb.sql(f"CREATE MODEL mindsdb.{name} PREDICT {target} USING engine = '{media_engine}', {using}")
        mindsdb.wait_for_model(name)
        return f"mindsdb.{name}"

    return create


def table(mindsdb: MindsDB, folder: Path, name: str, rows: Sequence[tuple[object, ...]], columns: list[str]) -> str:
    pd.DataFrame(rows, columns=columns).to_csv(folder / f"{name}.csv", index=False)
    mindsdb.upload(folder / f"{name}.csv", name)
    return f"files.{name}"


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def test_photographs_are_classified_each_in_its_row(mindsdb: MindsDB, model: Create, folder: Path) -> None:
    rows = [(1, "flower.jpg"), (2, "china.jpg"), (3, "none.jpg"), (4, "flower.jpg")]
    photographs = table(mindsdb, folder, "photographs", rows, ["id", "photo"])
    shown = model("shown", "label", "task = 'image-classification', column = 'photo'")
    found = rows_of(
        mindsdb, f"SELECT t.id, m.label, m.label_confidence, m.label_error FROM {photographs} AS t JOIN {shown} AS m"
    )
    by_id = {row[0]: row[1:] for row in found}
    assert {key: row[0] for key, row in by_id.items()} == {1: "daisy", 2: "palace", 3: None, 4: "daisy"}
    assert float(by_id[2][1]) == pytest.approx(0.313, abs=0.002)
    assert "media_dir" in by_id[3][2] and by_id[1][2] is by_id[2][2] is None


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="NOT TESTED: rapidocr-onnxruntime has no wheel for 3.13")
def test_printed_lines_are_read(mindsdb: MindsDB, model: Create, folder: Path) -> None:
    pictures = table(mindsdb, folder, "pictures", [(name,) for name in LINES], ["picture"])
    reader = model("reader", "line", "task = 'image-to-text', column = 'picture'")
    found = rows_of(mindsdb, f"SELECT t.picture, m.line FROM {pictures} AS t JOIN {reader} AS m")
    assert {name: line.replace(" ", "") for name, line in found} == {
        name: line.replace(" ", "") for name, line in LINES.items()
    }


def test_what_one_model_says_into_files_another_hears(mindsdb: MindsDB, model: Create, folder: Path) -> None:
    sentences = table(mindsdb, folder, "sentences", list(SENTENCES.items()), ["id", "sentence"])
    voice = model("voice", "sound", "task = 'text-to-speech', model = 'local/piper-joe', column = 'sentence'")
    spoken = rows_of(mindsdb, f"SELECT t.id, m.sound FROM {sentences} AS t JOIN {voice} AS m")
    for _, sound in spoken:
        assert Path(sound).parent == folder
        with wave.open(sound) as file:
            assert 1.5 < file.getnframes() / file.getframerate() < 8
    recordings = table(mindsdb, folder, "recordings", [tuple(row) for row in spoken], ["id", "recording"])
    ear = model("ear", "heard", "task = 'automatic-speech-recognition', column = 'recording'")
    heard = {row[0]: row[1] for row in rows_of(mindsdb, f"SELECT t.id, m.heard FROM {recordings} AS t JOIN {ear} AS m")}
    for key, sentence in SENTENCES.items():
        assert sum(word not in words(heard[key]) for word in words(sentence)) <= 1, heard


def test_sentences_are_translated(mindsdb: MindsDB, model: Create) -> None:
    translator = model(
        "translator", "portuguese", "task = 'translation', model = 'Helsinki-NLP/opus-mt-en-pt', column = 'english'"
    )
    query = f"SELECT portuguese FROM {translator} WHERE english = 'My name is Wolfgang and I live in Berlin.'"
    assert mindsdb.sql(query).rows == [["Meu nome é Wolfgang e moro em Berlim."]]


def test_a_chat_model_answers_and_a_prompt_goes_on(mindsdb: MindsDB, model: Create) -> None:
    chat = model(
        "chat", "answer", "task = 'chat-completion', model = 'local/smollm2-135m-instruct', column = 'question'"
    )
    query = f"SELECT answer FROM {chat} WHERE question = 'What is the capital of France? Answer in one sentence.'"
    ((answer,),) = rows_of(mindsdb, query)
    assert "Paris" in answer
    writer = model(
        "writer",
        "more",
        "task = 'text-generation', model = 'local/smollm2-135m-instruct', column = 'beginning', max_new_tokens = 4",
    )
    ((more,),) = rows_of(mindsdb, f"SELECT more FROM {writer} WHERE beginning = 'The capital of France is'")
    assert "Paris" in more


def test_a_chat_model_fills_typed_columns(mindsdb: MindsDB, model: Create) -> None:
    typed = model(
        "typed",
        "reply",
        "task = 'chat-completion', model = 'local/smollm2-135m-instruct', "
        "prompt_template = 'Which city is the capital of {{country}}?', max_tokens = 60, "
        'output_schema = {"city": "str"}',
    )
    ((city,),) = mindsdb.sql(f"SELECT city FROM {typed} WHERE country = 'France'").rows
    assert isinstance(city, str) and city
