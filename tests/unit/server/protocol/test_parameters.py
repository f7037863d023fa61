"""Parameters that a task does not take are refused."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

ZERO_SHOT = "/models/local/zero-shot-minilm"


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({}, 400),
        ({"candidate_labels": []}, 400),
        ({"candidate_labels": " , "}, 400),
        ({"candidate_labels": 3}, 400),
        ({"candidate_labels": ["a", 1]}, 400),
        ({"candidate_labels": [str(number) for number in range(129)]}, 400),
        ({"candidate_labels": ["a"], "multi_label": "yes"}, 400),
        ({"candidate_labels": ["a"], "hypothesis_template": 1}, 400),
        ({"candidate_labels": ["a"], "hypothesis_template": "no place"}, 422),
    ],
)
def test_bad_zero_shot_parameters_are_refused(client: TestClient, parameters: object, status: int) -> None:
    response = client.post(ZERO_SHOT, json={"inputs": "x", "parameters": parameters})
    assert response.status_code == status and response.json()["error"]
