"""The types of USING arguments: what is taken for a name, a number, a URL, a key, a list.

A text is read as what it stands for where SQL has no better way to write it. Each error is half a sentence:
``validation`` puts the argument's name before it and the value after it. The ``format`` of a type, as in JSON
Schema, is what ``creation_args`` tells MindsDB of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from ..errors import InputError
from ..tasks.output_schema import parse_output_schema
from ..urls import has_detour, origin_of, without_slash
from .normalize import json_object
from .store_address import STORE_VARIABLE, parse_store_address

MIN_KEY_CHARS_WITH_DIGITS = 8
"""Of letters and digits, as in ``token-abc123``. Shorter texts are parts of answers too often."""

MIN_KEY_CHARS_WITH_SIGNS = 12
"""Of letters with a hyphen or the like, as in ``api-key-value``. Shorter ones are labels, such as ``non-toxic``."""

MIN_KEY_CHARS = 16
"""Of any kind. Shorter texts are words or numbers."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_KEYS = re.compile(r"""["'`\\,{}\[\]<>]""")
_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f]")

_MIN_CHOICES = 2

_PRICED = ("input", "output", "cached", "second", "request")
"""What a price may be of: a million tokens of three kinds, a second, a request."""

MAX_PRICE_USD = 1_000_000
"""A higher price is a mistake, such as one in another unit."""

_Value = TypeVar("_Value")


def parse_list(value: object) -> object:
    """Read a list that SQL wrote as text: JSON, or names with commas between.

    Args:
        value: The argument's value.

    Returns:
        The list (or map, where the text is JSON of one); a value that is no text comes back as it is.

    Raises:
        ValueError: The text begins as JSON and is none.

    >>> parse_list("ham, spam"), parse_list('["a, b"]')
    (['ham', 'spam'], ['a, b'])
    """
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith(("[", "{")):
        try:
            return json_object("text", value)
        except InputError:
            raise ValueError("begins as JSON and is none that can be sent") from None
    return [item.strip() for item in value.split(",") if item.strip()]


def refuse_bool(value: _Value) -> _Value:
    """Let everything but true and false be read as a number.

    Args:
        value: The argument's value.

    Returns:
        The same value.

    Raises:
        ValueError: It is a bool, which Python counts among the integers.
    """
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def _labels(value: object) -> object:
    value = parse_list(value)
    if isinstance(value, (list, tuple, Mapping)) and not value:
        raise ValueError("must hold at least one name")
    return value


def _choices(value: list[str]) -> list[str]:
    if len(value) < _MIN_CHOICES or len(set(value)) < len(value) or not all(map(str.strip, value)):
        raise ValueError("must hold at least two names, each once")
    return value


def _output_fields(value: object) -> dict[str, Any]:
    return parse_output_schema(json_object("output_schema", value) if isinstance(value, str) else value)


def _prices(value: object) -> dict[str, Decimal]:
    found = json_object("prices", value) if isinstance(value, str) else value
    if not isinstance(found, Mapping) or not found:
        raise ValueError("must be a map of prices in USD, such as {'input': 0.15, 'output': 0.6} per million tokens")
    prices = {str(name): _price(str(name), amount) for name, amount in found.items() if amount is not None}
    if not prices:
        raise ValueError("must name a price: all of these are NULL")
    if "cached" in prices and "input" not in prices:
        raise ValueError("has a price of cached tokens and none of 'input', which they are a part of")
    return prices


def _price(name: str, amount: object) -> Decimal:
    if name not in _PRICED:
        raise ValueError(f"has no price of {name!r}. It takes {', '.join(map(repr, _PRICED))}")
    try:
        price = Decimal(str(amount).strip()) if isinstance(amount, (int, float, str, Decimal)) else Decimal("nan")
    except InvalidOperation:
        price = Decimal("nan")
    if isinstance(amount, bool) or not price.is_finite() or price < 0:
        raise ValueError(f"must have a number of USD from 0 up as the price of {name!r}")
    if price > MAX_PRICE_USD:
        unit = {"second": "a second", "request": "a request"}.get(name, "a million tokens")
        raise ValueError(f"has a price of {name!r} that cannot be meant: it is in USD for {unit}")
    return price


def _url(value: str) -> str:
    if value.strip().lower() == "local":
        raise ValueError(
            "'local' is what an engine in `huggingface-api-handler sql` has, which starts the local server. Here, run "
            "`huggingface-api-handler serve` and give its address: 'http://127.0.0.1:8900/models'"
        )
    parts = urlsplit(value.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or _NOT_IN_URLS.search(value.strip()):
        raise ValueError("must be a URL that starts with https:// (or http:// for this machine)")
    if parts.port == 0:
        raise ValueError("must name a port from 1 to 65535")
    if parts.username or parts.password:
        raise ValueError("must hold no user name or password; give a key with api_key")
    path = parts.path.rstrip("/").removeprefix("/")
    if path and has_detour(path):
        raise ValueError("must hold no //, /./ or /../ in its path: write the address that is meant")
    url = without_slash(value.strip())
    # Of a host, or where models are known by their names, a slash at the end means nothing.
    if parts.path.endswith("/") and path and "models" not in path.split("/"):
        url = urlsplit(url)._replace(path=f"/{path}/").geturl()
    return _with_readable_host(url, parts.hostname)


def _store_url(value: str) -> str:
    if "@" in value:
        raise ValueError(
            f"must hold no user name or password. Set the variable {STORE_VARIABLE} to the whole address, such as "
            "redis://:PASSWORD@host:6379/0, in the environment of this program (MindsDB, where that runs the engine): "
            "both are taken from there, for that host and port"
        )
    return str(parse_store_address(value))


def _with_readable_host(url: str, host: str) -> str:
    """The URL with its host in ASCII. One that is ASCII stays as it was written: stored answers are found by it."""
    try:
        plain = origin_of(url).host
    except ValueError:
        raise ValueError("must name its host in one plain spelling: a name, or an address in decimal numbers") from None
    return url if host.isascii() else re.sub(r"(?<=://)[^/:?#]+", plain, url, count=1)


def model_name(value: str) -> str:
    """Let only names pass that lead nowhere else where they become part of an address.

    Args:
        value: The name of a model.

    Returns:
        The same name.

    Raises:
        ValueError: It has a segment that is empty, ``.`` or ``..``. A slash before the first one is allowed: servers
            name models by their folder.

    >>> model_name("owner/name:fastest")
    'owner/name:fastest'
    """
    if has_detour(value.removeprefix("/")):
        raise ValueError("must be a plain name such as 'owner/name', with no //, /./ or /../ in it")
    return value


def key_problem(key: str) -> str | None:
    """Say why a text cannot be a key.

    A key is looked for in every answer to it. One that is a word or a piece of JSON would be found in answers that do
    not repeat it.

    Args:
        key: What was given as a key.

    Returns:
        Half a sentence of what is wrong and what to do, without the key; None where it can be a key.

    >>> key_problem("hf_example"), key_problem("a-token-of-my-own-server")
    (None, None)
    >>> key_problem("POSITIVE")[:44]
    'is too short for a key: it has 8 characters,'
    """
    if not re.fullmatch(r"[\x21-\x7e]{1,8192}", key):
        return "is no key: keys are up to 8192 letters, digits and signs, with no space between"
    if _NOT_IN_KEYS.search(key):
        return (
            "is no key: it holds a quote, a comma, a bracket, a brace or a backslash, of which answers in JSON are "
            "made. Give the key alone"
        )
    if len(key) < _min_chars(key):
        return (
            f"is too short for a key: it has {len(key)} characters, and may be a word of an answer. A key begins with "
            f"hf_, or has at least {MIN_KEY_CHARS_WITH_DIGITS} letters and digits, {MIN_KEY_CHARS_WITH_SIGNS} letters "
            f"and signs, or {MIN_KEY_CHARS} characters of any kind. Give your server a longer one; for a server that "
            "asks for none, leave it out"
        )
    return None


def _min_chars(key: str) -> int:
    if key.startswith("hf_"):
        return 0
    has_letter, has_digit = re.search(r"[A-Za-z]", key) is not None, re.search(r"[0-9]", key) is not None
    if has_letter and has_digit:
        return MIN_KEY_CHARS_WITH_DIGITS
    return MIN_KEY_CHARS_WITH_SIGNS if has_letter and not key.isalpha() else MIN_KEY_CHARS


def _key(value: object) -> SecretStr:
    key = value.get_secret_value() if isinstance(value, SecretStr) else value
    key = key.strip() if isinstance(key, str) else ""
    if (problem := key_problem(key)) is not None:
        raise ValueError(problem)
    return SecretStr(key)


def _one_line(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("must hold no line breaks and no other control characters")
    return value


Name = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_one_line)]
"""A short text on one line: the name of a model, a provider, a variable."""

ModelName = Annotated[Name, AfterValidator(model_name)]
"""The name of a model, which may become part of an address."""

DirPath = Annotated[
    str,
    Field(min_length=1, max_length=4096, json_schema_extra={"format": "directory-path"}),
    AfterValidator(_one_line),
]
"""The path of a folder, which need not exist yet."""

Url = Annotated[str, Field(max_length=8192, json_schema_extra={"format": "uri"}), AfterValidator(_url)]
"""An http(s) URL without user and password. A slash at its end is kept where it can mean another address."""

StoreUrl = Annotated[str, Field(max_length=1000), AfterValidator(_store_url)]
"""The address of a Redis, without user and password."""

Int = Annotated[int, BeforeValidator(refuse_bool)]
"""A whole number, also one that SQL wrote as text."""

FiniteFloat = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(refuse_bool)]
"""A number other than NaN and infinity, also one that SQL wrote as text."""

Usd = Annotated[FiniteFloat, Field(ge=0.000001, le=1_000_000)]
"""Dollars, a micro-dollar at least."""

StrList = Annotated[list[str], BeforeValidator(parse_list)]
"""A list of texts, also as JSON text or with commas between."""

Key = Annotated[SecretStr, BeforeValidator(_key)]
"""An API key, which no ``repr`` shows."""

Labels = Annotated[list[str] | dict[str, str], BeforeValidator(_labels)]
"""Label names in a classifier's order, or a map of its names to yours."""

Choices = Annotated[StrList, AfterValidator(_choices)]
"""Several texts of which one is to be chosen."""

PriceMap = Annotated[dict[str, Decimal], BeforeValidator(_prices)]
"""Prices in USD, by what they are of."""

OutputFields = Annotated[dict[str, Any], BeforeValidator(_output_fields)]
"""Field name -> type in short, or a JSON schema (see ``tasks.output_schema``)."""
