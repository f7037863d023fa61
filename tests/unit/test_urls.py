"""URLs taken apart: hosts in one spelling, exact origins, paths without detours."""

from __future__ import annotations

import pytest

from huggingface_api_handler.urls import canonical_host, has_detour, is_loopback, is_secure_url, origin_of


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_known_by_its_addresses(host: str) -> None:
    assert is_loopback(host)
    assert is_secure_url(f"http://[{host}]:1" if ":" in host else f"http://{host}:1")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.\u0661", "127.0.0.\uff11", "127.0.0.xn--9hb", "127.1", "0127.0.0.1", "2130706433", "0x7f.0.0.1", "127.0.0.256",
        "127.0.0.1.example", "localhost.example", "::2", "::ffff:10.0.0.1", "10.0.0.1", "0.0.0.0", "", "127.0.0.1 ",
    ],
)  # fmt: skip
def test_what_only_looks_like_this_machine_is_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "spelling"),
    [
        ("EXAMPLE.com", "example.com"), ("example.com.", "example.com"), ("bücher.example", "xn--bcher-kva.example"),
        ("evil。example", "evil.example"), ("１２７.0.0.1", "127.0.0.1"), ("[::0001]", "::1"), ("vllm", "vllm"),
        ("my_tei.internal", "my_tei.internal"), ("10.0.0.5", "10.0.0.5"),
    ],
)  # fmt: skip
def test_a_host_has_one_spelling(host: str, spelling: str) -> None:
    assert canonical_host(host) == spelling


@pytest.mark.parametrize(
    "host",
    ["", "a b", "a%2eb", "a\\b", "a;b", "-a", "a..b", "[::1", "[fe80::1%1]", "127.1", "0x7f000001", "2130706433", "a" * 64, "a@b"],
)  # fmt: skip
def test_a_host_that_can_be_read_in_two_ways_has_none(host: str) -> None:
    with pytest.raises(ValueError):
        canonical_host(host)


def test_an_origin_is_scheme_host_and_port() -> None:
    assert origin_of("https://Mine.example/a") == origin_of("https://mine.example.:443/b")
    others = ["http://mine.example", "https://mine.example:8443", "https://a.mine.example", "https://mine.example.evil.test"]  # fmt: skip
    assert all(origin_of("https://mine.example") != origin_of(other) for other in others)


@pytest.mark.parametrize(
    "path",
    ["..", "a/../b", "./a", "a/.", "a//b", "/a", "a/", "%2e%2e/a", "a/%2E./b", "a/..%2fb", "a/%252e%252e/b", "a\\..\\b", "a/..;x/b", "a/.. /b",
     "a/..%00/b", "a/..%00.png/b", "a/%c0%ae%c0%ae/b", "a/\uff0e\uff0e/b", "a/..\uff0fb", "a/\u2025/b", "a/..\u200b/b", "a/%25252525252525252e/b"],
)  # fmt: skip
def test_a_path_with_a_detour_is_known_in_every_spelling(path: str) -> None:
    assert has_detour(path)


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "a/b",
        "a/b:fastest",
        "a/b@main",
        "a/..b",
        "a/b..",
        "a/...",
        "a.b/c-d_e",
        "a/b c",
        "a/模型",
        "a/\u2026",
        "a/..&",
    ],
)
def test_a_plain_path_has_none(path: str) -> None:
    assert not has_detour(path)
