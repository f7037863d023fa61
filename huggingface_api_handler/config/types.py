"""The types of USING arguments: what is taken for a name, a number, a URL, a key, a list.

A text is read as what it stands for where SQL has no better way to write that. Each error is half a sentence, which
``settings`` puts the argument's name before and its value after.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from ..errors import InputError
from ..redaction import preview
from ..tasks.structured_output import KINDS, SPELLINGS
from .normalize import json_object

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f]")


def listed(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            return json_object("text", value)
        except InputError:
            raise ValueError("begins as JSON and is none that can be sent") from None
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def _labels(value: Any) -> Any:
    value = listed(value)
    if isinstance(value, (list, tuple, Mapping)) and not value:
        raise ValueError("must hold at least one name")
    return value


def _fields(value: Any) -> Any:
    value = json_object("output_schema", value) if isinstance(value, str) else value
    if not isinstance(value, Mapping) or not value:
        raise ValueError("must be a map of fields to types, such as {'topic': 'str', 'urgency': 'int'}")
    for kind in value.values():
        if not isinstance(kind, str) or SPELLINGS.get(kind, kind) not in KINDS:
            raise ValueError(f"has the type {preview(kind)}; types are {', '.join(KINDS)}")
    return {str(name): SPELLINGS.get(kind, kind) for name, kind in value.items()}


def _url(value: str) -> str:
    parts = urlsplit(value.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or _NOT_IN_URLS.search(value.strip()):
        raise ValueError("must be a URL that starts with https:// (or http:// for this machine)")
    if parts.port == 0:
        raise ValueError("must name a port from 1 to 65535")
    if parts.username or parts.password:
        raise ValueError("must hold no user name or password; give a key with api_key")
    return value.strip().rstrip("/")


def number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def _key(value: Any) -> SecretStr:
    key = value.get_secret_value() if isinstance(value, SecretStr) else value
    key = key.strip() if isinstance(key, str) else ""
    if not re.fullmatch(r"[\x21-\x7e]{1,8192}", key):
        raise ValueError("is no key: keys are up to 8192 letters, digits and signs, with no space between")
    return SecretStr(key)


def _line(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("must hold no line breaks and no other control characters")
    return value


Name = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_line)]
DirPath = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_line)]
Url = Annotated[str, Field(max_length=8192), AfterValidator(_url)]
Int = Annotated[int, BeforeValidator(number)]
FiniteFloat = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(number)]
StrList = Annotated[list[str], BeforeValidator(listed)]
Key = Annotated[SecretStr, BeforeValidator(_key)]
Labels = Annotated[list[str] | dict[str, str], BeforeValidator(_labels)]
Fields = Annotated[dict[str, str], BeforeValidator(_fields)]
