"""Responses of which it is unclear which part is whose: when they cost a route its batches."""

from __future__ import annotations

import pytest

from huggingface_api_handler.inference.flow_control.route_profile import RouteProfile


def after(ambiguous: int, sent: int, *, was_clear: bool) -> bool | None:
    """Whether a route takes batches, after so many unclear responses to the batches that were sent since a clear one."""
    profile = RouteProfile(accepts_batches=True)
    if was_clear:
        profile.on_unambiguous()
    profile.batches_since_clear = sent
    for _ in range(ambiguous):
        profile.on_ambiguous()
    return profile.accepts_batches


@pytest.mark.parametrize(("ambiguous", "accepts"), [(4, True), (5, False)])
def test_a_route_none_of_whose_batches_was_clear_has_five(ambiguous: int, accepts: bool) -> None:
    assert after(ambiguous, ambiguous + 8, was_clear=False) is accepts


@pytest.mark.parametrize(
    ("ambiguous", "sent", "accepts"),
    [(20, 20, True), (21, 21, False), (21, 28, False), (21, 29, True), (40, 100, True)],
)
def test_a_route_that_was_clear_before_has_more_and_quick_faults_do_not_outvote_slow_answers(
    ambiguous: int,
    sent: int,
    accepts: bool,
) -> None:
    assert after(ambiguous, sent, was_clear=True) is accepts
