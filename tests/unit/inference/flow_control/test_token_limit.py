"""What DESCRIBE says of how long a text may be."""

from __future__ import annotations

import pytest

from huggingface_api_handler.inference.flow_control.token_limit import TokenLimit


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        (TokenLimit(), "not known until the server refuses a text"),
        (TokenLimit(rejected=230.4), "fewer than about 230 "),
        (TokenLimit(room=118.9), "about 119 "),
        (TokenLimit(tokens=512, room=470.0), "512 "),
    ],
)
def test_each_state_of_the_search_is_told(limit: TokenLimit, says: str) -> None:
    assert limit.description.startswith(says)
