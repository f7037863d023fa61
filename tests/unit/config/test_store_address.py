"""``store`` and HUGGINGFACE_API_STORE: which Redis, and to which one a password goes."""

from __future__ import annotations

import pytest

from huggingface_api_handler.config.credentials import resolve_api_key, resolve_store
from huggingface_api_handler.config.settings import EngineSettings
from huggingface_api_handler.config.store_address import StoreAddress, parse_store_address
from huggingface_api_handler.config.validation import engine_settings
from huggingface_api_handler.errors import InputError

PASSWORD = "quite-a-secret"


def machine(url: str) -> dict[str, str]:
    return {"HUGGINGFACE_API_STORE": url}


@pytest.mark.parametrize(
    ("written", "address", "shown"),
    [
        ("redis://host", StoreAddress("host"), "redis://host:6379/0"),
        (" redis://HOST.example:7000/12 ", StoreAddress("host.example", 7000, 12), "redis://host.example:7000/12"),
        ("rediss://10.0.0.1/", StoreAddress("10.0.0.1", is_encrypted=True), "rediss://10.0.0.1:6379/0"),
        ("redis://[::1]:1", StoreAddress("::1", 1), "redis://[::1]:1/0"),
    ],
)
def test_an_address_is_read_and_shown_in_one_spelling(written: str, address: StoreAddress, shown: str) -> None:
    assert parse_store_address(written) == address
    assert str(address) == shown
    assert engine_settings({"store": written}).store == shown


@pytest.mark.parametrize(
    "written",
    [
        "http://host",
        "host:6379",
        "redis://",
        "unix:///tmp/redis.sock",
        "redis://host:0",
        "redis://host:99999",
        "redis://host/name",
        "redis://host/-1",
        "redis://host?socket_timeout=9",
        "redis://host#x",
        "redis://0x7f.1",
        "redis://[::1",
        "redis://ho\nst",
        "",
        7,
    ],
)
def test_what_is_no_address_is_refused(written: object) -> None:
    with pytest.raises(InputError, match="store"):
        engine_settings({"store": written})


@pytest.mark.parametrize("login", [f":{PASSWORD}@", f"me:{PASSWORD}@", "me@", f":{PASSWORD}%2F@", f"me:{PASSWORD}/x@"])
def test_a_password_in_the_argument_is_refused_and_not_repeated(login: str) -> None:
    with pytest.raises(InputError) as caught:
        engine_settings({"store": f"redis://{login}host:6379/0"})
    assert PASSWORD not in str(caught.value)
    assert "HUGGINGFACE_API_STORE" in str(caught.value)


def test_the_variable_is_the_store_of_engines_without_one() -> None:
    url = f"rediss://me:{PASSWORD}%21@host:7000/3"
    address = resolve_store(EngineSettings(), machine(url))
    assert address is not None
    assert address.password is not None
    assert (str(address), address.username) == ("rediss://host:7000/3", "me")
    assert address.password.get_secret_value() == f"{PASSWORD}!"
    assert PASSWORD not in repr(address)
    assert resolve_store(EngineSettings(), {}) is None
    assert resolve_store(EngineSettings(), machine(" ")) is None


@pytest.mark.parametrize(
    ("store", "is_logged_in"),
    [
        ("redis://host:7000/9", True),
        ("redis://HOST.:7000", True),
        ("redis://host", False),
        ("rediss://host:7000", False),
        ("redis://host.example:7000", False),
        ("redis://127.0.0.1:7000", False),
    ],
)
def test_the_password_goes_to_its_own_server_alone(store: str, is_logged_in: bool) -> None:
    address = resolve_store(engine_settings({"store": store}), machine(f"redis://me:{PASSWORD}@host:7000/3"))
    assert address is not None
    assert (address.username == "me") is is_logged_in
    assert (address.password is not None) is is_logged_in
    assert str(address) == str(parse_store_address(store))


@pytest.mark.parametrize("value", [f"http://:{PASSWORD}@host", f"redis://:{PASSWORD}@host:x", f"redis://:{PASSWORD}/@"])
def test_a_variable_that_holds_no_address_is_an_error_without_its_value(value: str) -> None:
    with pytest.raises(InputError, match="the variable HUGGINGFACE_API_STORE must") as caught:
        resolve_store(EngineSettings(), machine(value))
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("name", ["HUGGINGFACE_API_STORE", "huggingface_api_store"])
def test_no_engine_can_send_it_to_its_own_server_as_a_key(name: str) -> None:
    environment = {name: f"redis://me:{PASSWORD}@host", "HUGGINGFACE_API_KEY_VARIABLES": name}
    with pytest.raises(InputError, match="may not read") as caught:
        resolve_api_key(EngineSettings(api_key_env=name), environment)
    assert PASSWORD not in str(caught.value)


def test_answers_is_shared_or_local() -> None:
    assert engine_settings({}).answers == "shared"
    assert engine_settings({"answers": "local"}).answers == "local"
    with pytest.raises(InputError, match="answers"):
        engine_settings({"answers": "both"})
