"""Image, sound and video tasks answer in the recorded shapes. The models are tiny and untrained."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
import soundfile
from PIL import Image

from .fixtures import Asker, tone

BOX = {"xmin", "ymin", "xmax", "ymax"}


def _labelled(found: Any) -> bool:
    return all(set(item) == {"label", "score"} for item in found) and found == sorted(
        found, key=lambda one: -one["score"]
    )


@pytest.mark.parametrize("name", ["picture", "boxes", "segments"])
def test_raw_bytes_base64_and_data_uris_are_the_same_picture(ask: Asker, picture: bytes, name: str) -> None:
    encoded = base64.b64encode(picture).decode()
    assert ask(name, picture) == ask(name, encoded) == ask(name, f"data:image/png;base64,{encoded}")
    assert "Invalid image" in ask.refused(name, b"no image")


def test_image_labels_come_best_first(ask: Asker, picture: bytes) -> None:
    labels = ask("picture", picture)
    assert len(labels) == 3 and _labelled(labels)
    assert ask("picture", picture, top_k=1) == labels[:1]


def test_zero_shot_image_labels_are_those_asked_for(ask: Asker, picture: bytes) -> None:
    labels = ask("match", picture, candidate_labels=["cat", "dog", "red car"])
    assert _labelled(labels) and {label["label"] for label in labels} == {"cat", "dog", "red car"}
    assert ask("match", picture, candidate_labels=["cat", "dog"], hypothesis_template="a {} ?") != labels
    assert "field required" in ask.refused("match", picture)
    assert "{}" in ask.refused("match", picture, candidate_labels=["cat"], hypothesis_template="cat")


@pytest.mark.parametrize(("name", "labels"), [("boxes", {}), ("named-boxes", {"candidate_labels": ["cat", "dog"]})])
def test_objects_have_boxes_of_whole_pixels(ask: Asker, picture: bytes, name: str, labels: Any) -> None:
    found = ask(name, picture, threshold=0.0, **labels)
    assert found
    for item in found:
        assert set(item) == {"label", "score", "box"} and set(item["box"]) == BOX
        assert all(isinstance(edge, int) for edge in item["box"].values())
    assert ask(name, picture, threshold=1.0, **labels) == []


def test_masks_are_png_files_of_the_picture_s_size(ask: Asker, picture: bytes) -> None:
    segments = ask("segments", picture)
    assert segments
    for segment in segments:
        assert set(segment) == {"label", "mask"}
        mask = Image.open(io.BytesIO(base64.b64decode(segment["mask"])))
        assert (mask.format, mask.size) == ("PNG", (48, 40))


def test_depth_is_a_grey_png(ask: Asker, picture: bytes) -> None:
    answer = ask("depth", picture)
    assert answer.headers["content-type"] == "image/png"
    depth = Image.open(io.BytesIO(answer.content))
    assert (depth.mode, depth.size) == ("L", (48, 40))


def test_a_picture_is_described(ask: Asker, picture: bytes) -> None:
    [answer] = ask("described", picture, max_new_tokens=4)
    assert set(answer) == {"generated_text"}
    assert ask("described", picture, generation_parameters={"max_new_tokens": 4}) == [answer]


def test_a_question_on_a_picture_is_answered(ask: Asker, picture: bytes) -> None:
    inputs = {"image": base64.b64encode(picture).decode(), "question": "how many ?"}
    answers = ask("vqa", inputs, top_k=2)
    assert [set(answer) for answer in answers] == [{"score", "answer"}] * 2
    assert "`inputs.question`: field required" in ask.refused("vqa", {"image": inputs["image"]})


def test_a_question_on_a_document_is_answered_from_its_words(ask: Asker, picture: bytes) -> None:
    inputs = {"image": base64.b64encode(picture).decode(), "question": "what is the invoice number ?"}
    boxes: list[Any] = [["invoice", [0, 0, 100, 50]], ["us-001", [100, 0, 300, 50]], ["total", [0, 60, 100, 90]]]
    [answer] = ask("document", inputs, word_boxes=boxes)
    assert set(answer) == {"score", "answer", "start", "end"}
    assert answer["answer"] == " ".join(word for word, _ in boxes[answer["start"] : answer["end"] + 1])
    assert "pytesseract" in ask.refused("document", inputs)
    assert "word_boxes" in ask.refused("document", inputs, word_boxes=[["invoice", [1]]])


def test_sound_is_written_down_with_times_on_demand(ask: Asker) -> None:
    answer = ask("heard", tone(16_000))
    assert set(answer) == {"text"} and isinstance(answer["text"], str)
    timed = ask("heard", tone(16_000), return_timestamps=True)
    assert timed["text"] == answer["text"]
    assert all(set(chunk) == {"text", "timestamp"} and len(chunk["timestamp"]) == 2 for chunk in timed["chunks"])
    assert "Malformed soundfile" in ask.refused("heard", b"no sound")


@pytest.mark.parametrize("name", ["heard", "sound"])
def test_other_rates_and_channels_are_converted(ask: Asker, name: str) -> None:
    assert ask(name, tone(16_000, channels=2)) == ask(name, tone(16_000))
    assert ask(name, tone(44_100)) and ask(name, tone(8_000))


def test_sound_labels_come_best_first(ask: Asker) -> None:
    labels = ask("sound", tone(16_000))
    assert len(labels) == 3 and _labelled(labels)
    assert ask("sound", tone(16_000), top_k=1) == labels[:1]
    assert ask("sound", tone(16_000, pitch=900)) != labels


def test_speech_is_a_flac_file(ask: Asker) -> None:
    answer = ask("spoken", "hello world")
    assert answer.headers["content-type"] == "audio/flac"
    samples, rate = soundfile.read(io.BytesIO(answer.content))
    assert rate == 16_000 and samples.size > 0
    assert "empty" in ask.refused("spoken", " ")


def test_video_labels_come_best_first(ask: Asker, film: bytes) -> None:
    labels = ask("video", film)
    assert len(labels) == 3 and _labelled(labels)
    assert ask("video", film, num_frames=4, top_k=1) == labels[:1]
    assert "Malformed video" in ask.refused("video", b"no video")


@pytest.mark.parametrize("name", ["picture", "heard", "video"])
def test_a_url_or_a_path_is_never_opened(ask: Asker, name: str) -> None:
    for place in ("http://localhost/cat.png", "/etc/hostname"):
        assert ask.response(name, place).status_code == 400
