"""Photographs get the label of what they show; weights that would run code are not read."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from huggingface_api_handler.server.models.torch_state_dict import read_state_dict

from .conftest import ask

CLASSIFIER = "local/efficientnet-lite0"
MODELS = (CLASSIFIER,)


def photograph(name: str) -> bytes:
    """One that scikit-learn ships: china.jpg is a palace in Beijing, flower.jpg a dahlia, for which there is no class."""
    import sklearn.datasets

    return (Path(sklearn.datasets.__file__).parent / "images" / name).read_bytes()


@pytest.mark.parametrize(("name", "label"), [("china.jpg", "palace"), ("flower.jpg", "daisy")])
def test_a_photograph_has_its_label_first(client: TestClient, name: str, label: str) -> None:
    answer = ask(client, CLASSIFIER, photograph(name))
    assert answer[0]["label"] == label and len(answer) == 5
    scores = [found["score"] for found in answer]
    assert scores == sorted(scores, reverse=True) and 0.2 < scores[0] < 1


def test_the_numbers_are_those_of_the_published_network(client: TestClient) -> None:
    """As its authors' PyTorch code gives them for these pixels; labels alone would survive a wrong padding."""
    scores = {found["label"]: found["score"] for found in ask(client, CLASSIFIER, photograph("china.jpg"), top_k=1000)}
    published = {"palace": 0.31333, "bell cote, bell cot": 0.13894, "monastery": 0.07982, "castle": 0.05292}
    assert {label: scores[label] for label in published} == pytest.approx(published, abs=0.002)


def test_a_raw_body_and_another_file_type_have_the_same_label(client: TestClient) -> None:
    from PIL import Image

    file = io.BytesIO()
    Image.open(io.BytesIO(photograph("flower.jpg"))).save(file, "WEBP", lossless=True)
    path = "/models/google/vit-base-patch16-224"
    response = client.post(path, content=file.getvalue(), headers={"content-type": "image/webp"})
    assert response.status_code == 200 and response.json() == ask(client, CLASSIFIER, photograph("flower.jpg"))


def test_scores_may_be_independent_or_raw(client: TestClient) -> None:
    given = photograph("flower.jpg")
    [soft], [sigmoid], [raw] = (
        ask(client, CLASSIFIER, given, top_k=1, function_to_apply=function)
        for function in ("softmax", "sigmoid", "none")
    )
    assert soft["label"] == sigmoid["label"] == raw["label"]
    assert soft["score"] < sigmoid["score"] < 1 < raw["score"]


def test_a_picture_of_one_pixel_is_classified(client: TestClient) -> None:
    from PIL import Image

    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "PNG")
    assert len(ask(client, CLASSIFIER, file.getvalue())) == 5


@pytest.mark.parametrize("parameters", [{"top_k": 0}, {"function_to_apply": "max"}, {"threshold": 0.5}])
def test_bad_parameters_are_400(client: TestClient, parameters: dict[str, object]) -> None:
    response = client.post(f"/models/{CLASSIFIER}", json={"inputs": "aGk=", "parameters": parameters})
    assert response.status_code == 400 and "Error in" in response.json()["error"][0]


def test_what_is_no_image_is_refused_in_the_recorded_words(client: TestClient) -> None:
    response = client.post(f"/models/{CLASSIFIER}", content=b"junk", headers={"content-type": "image/png"})
    assert response.status_code == 400
    assert response.json() == {"error": ["Error in `inputs`: Invalid image: {}"]}


def test_weights_that_name_other_code_are_not_read() -> None:
    ran: list[int] = []

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return ran.append, (1,)

    for content in (pickle.dumps(Evil()), pickle.dumps(print), b"cos\nsystem\n(S'true'\ntR."):
        with pytest.raises(pickle.UnpicklingError, match="neither a dictionary nor a tensor"):
            read_state_dict(content)
    with pytest.raises(pickle.UnpicklingError, match=r"torch\.save"):
        read_state_dict(pickle.dumps(3))
    assert ran == []
