"""What servers say where they refuse an input for its length, and the tokens that they name."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from .echoes import ServerError

_TOO_LARGE = 413

_MIN_STATED_TOKENS = 8
_MAX_STATED_TOKENS = 10_000_000
"""No model takes less or more. What a server says beyond is not of a length."""

_PADDING_POSITIONS = 2
"""RoBERTa's positions begin after that of the padding: a table of 514 is for 512 tokens."""

_POSITIONS_STEP = 128
"""Models are made for a multiple of so many tokens."""


class InputLengths(NamedTuple):
    """What a server says of the length of an input that it refuses.

    Attributes:
        max_tokens: Tokens that one input may have; None where it does not say.
        tokens: Tokens that it counted in an input; None where it does not say, or says only that there are more.
    """

    max_tokens: int | None = None
    tokens: int | None = None


_DIGITS = r"\d{1,3}(?:,\d{3}){1,2}|\d{1,10}"
_NO_LENGTH = (
    r"(?!\d|[.,]\d| ?(?:bytes|char|words|[kmg]i?b\b|items|inputs(?! tokens)|texts|documents|images|pixels|seconds))"
)


def _number(name: re.Match[str]) -> str:
    """The pattern of a number with a name; of one without where it is called ``n``."""
    group = "?:" if name[1] == "n" else f"?P<{name[1]}>"
    return rf"(?<!\d)({group}{_DIGITS}){_NO_LENGTH}"


@cache
def _pattern(words: str) -> re.Pattern[str]:
    """A pattern in which ``<max>``, ``<tokens>``, ``<output>`` and ``<n>`` stand for numbers of tokens."""
    # Compiled where a refusal is read: all of them take 20 ms, and most processes meet none.
    return re.compile(re.sub(r"(?<!P)<(max|tokens|output|n)>", _number, words), re.I | re.S)


_STATED = (
    # Text Embeddings Inference, Text Generation Inference, the local server
    r"must have less than <max> tokens(?:[.:]{1,2}.{0,60}?given: <tokens>)?",
    r"must be <= <max>\. given: <tokens> .{0,20}tokens and <output>",
    # vLLM, SGLang, OpenAI and what follows it, with the tokens of the answer reserved beside those of the input
    r"context length (?:is|of) <max>(?: tokens)?.{0,80}?you requested .{0,60}?\(<tokens> in (?:the messages|"
    r"your prompt)[,;] <output> (?:in|for) the completion",
    r"context length (?:is|of) <max>(?: tokens)?.{0,80}?you requested .{0,40}?: <tokens> tokens from the input "
    r"messages and <output> tokens",
    r"context length (?:is|of) <max>(?: tokens)?.{0,20}?you requested <output> output tokens and your prompt "
    r"contains (?:at least <n>|<tokens>)",
    r"context length is <max> tokens and your request has <tokens> input tokens \(<output> >",
    r"context length (?:is|of) <max>(?: tokens)?.{0,40}?(?:you requested|your (?:messages|request|prompt) "
    r"(?:has|have|resulted in|contains)) (?:at least <n>|<tokens>) (?:input )?tokens",
    r"prompt \((?:total )?length <tokens>\) is (?:longer than the maximum model length of|too long to fit into "
    r"the model \(context length) <max>",
    r"prompt \(<tokens> tokens\) is too long and exceeds (?:the )?limit of <max>",
    r"prompt length of <tokens> is longer than the maximum model length of <max>",
    r"(?:maximum|max) (?:input|context|prompt|sequence|model) length (?:is|of) <max>"
    r"(?: tokens)?(?: but the request contains <tokens> tokens)?",
    r"input \(<tokens> tokens\) is longer than the model.{0,12}context length \(<max> tokens",
    r"input length \(?<tokens>(?: tokens\))? exceeds (?:the )?maximum allowed (?:length|token size) \(?<max>",
    # llama.cpp, and its bindings
    r"input (?:\(<tokens> tokens\) )?is too large to process[.,] (?:please )?increase the physical batch size"
    r"(?: \(current batch size: <max>\))?",
    r"request (?:\(<tokens> tokens\) )?exceeds the available context size(?: \(<max> tokens)?",
    r"requested tokens \(<tokens>\) exceed context window of <max>",
    r"number of tokens \(<tokens>\) exceed(?:ed|s) maximum context length \(<max>\)",
    r"input is larger than the max context size|input prompt is too big compared to kv size",
    r"context length of only <max> tokens",
    # torch, onnxruntime and candle behind hf-inference, Inference Endpoints and pipelines
    r"size of tensor a \(<tokens>\) must match the size of tensor b \(<max>\) at non-singleton dimension 1",
    r"expanded size of the tensor \(<tokens>\) must match the existing size \(<max>\) at non-singleton "
    r"dimension 1",
    r"sequence length is longer than the specified maximum sequence length for this model \(<tokens> > <max>\)",
    r"sequence length must be less than max_position_embeddings .{0,60}?: <tokens> and max_position_embeddings"
    r": <max>",
    r"index out of range in self|index out of range: tried to access index <n> out of table with <n> rows",
    r"must be within the inclusive range \[-(?P<max>\d{1,10}),",
    r"broadcast an axis by a dimension other than 1\. <max> by <tokens>",
    r"index-select invalid index <n> with dim size <max>",
    # Cohere, Jina, Voyage, Mistral, Bedrock, Gemini, xAI, Anthropic, DashScope
    r"total number of tokens \(prompt and prediction\) cannot exceed <max> - received <tokens>",
    r"text cannot exceed <max> tokens\. <tokens> tokens given",
    r"does not fit into the model.{0,12}context window of <max> tokens",
    r"prompt contains <tokens> tokens.{0,60}?too large for model with <max> maximum context length",
    r"max input tokens: <max>, request input token count: <tokens>",
    r"input token count \(?(?:is )?<tokens>\)? (?:exceeds the maximum number of tokens allowed|but the model "
    r"supports up to) \(?<max>",
    r"prompt is too long: <tokens>(?: tokens >|, model maximum context length:) <max>",
    r"range of input length should be \[\d{1,3}, ?<max>\]",
    # Ollama, and the words for programs of OpenAI and others
    r"input length exceeds (?:the |maximum )?context length",
    r"context[ _]length[ _]exceeded|exceed context size error",
    r"(?:exceeds?|longer than|beyond) (?:the |this )?(?:model.{0,3} |maximum |max |allowed ){1,3}(?:(?:context|"
    r"sequence|input|prompt|token) ){1,2}(?:length|limit|window)(?: (?:of|is) <max>)?",
)
"""What servers say, as ``echoes`` leaves it: in lower case, without quotations. The first that is found counts."""

_STATED_OF_ALL = (
    r"too many tokens: size limit exceeded by <n> tokens(?:.{0,100}?the limit for this model is <max> tokens)?",
    r"tokens per submitted batch is <max>\. your batch has <tokens> tokens",
    r"too many tokens in batch\. max is <max> got <tokens>",
    r"requested <tokens> tokens, max <max> tokens per request",
)
"""The same of all inputs of a request together: Cohere, Voyage, Mistral and OpenAI."""

_SIGNS = re.compile(
    r"token|length|context|too (?:large|long|big)|larger than|index|tensor|inclusive range|axis by", re.I
)
"""At least one of these is in all of them, so that most refusals cost one search."""

_TOO_LONG = re.compile(
    r"(?<!array )(?<!took )(?<!taking )too long|must have less than|(context|sequence|prompt).{0,20} length"
    r"|exceeds?\b.{0,40}tokens",
    re.I,
)
"""Words that tell of a length where the status says that the input was refused, though no server is known by them."""

_OF_A_RATE = re.compile(r"per[ -]?(second|min|hour|day)|\b[tr]p[md]\b|rate.?limit", re.I)
_OF_THE_OUTPUT = re.compile(
    r"(?<!\+ )(?<!smaller )\bmax_(completion_|new_)?tokens.{0,20} (is too large|must be|cannot|exceeds?)"
    r"|is too large: \d+\. this model",  # vLLM's, of a ``max_tokens`` in quotation marks
    re.I,
)


def stated_lengths(error: ServerError, batch_size: int = 1) -> InputLengths | None:
    """What a server says of an input that is too long.

    Args:
        error: What it says.
        batch_size: The number of inputs in the request. Limits of all together say nothing of one among others.

    Returns:
        The numbers that it names; None where its own words are not those by which servers refuse an input for its
        length, or are of a rate of tokens or of the length of the answer.

    >>> stated_lengths(ServerError("`inputs` must have less than 512 tokens. Given: 812"))
    InputLengths(max_tokens=512, tokens=812)
    >>> stated_lengths(ServerError("Limit 6000 tokens per min. Please try again in 2 s"))
    """
    if error.search(_SIGNS) is None or _is_of_something_else(error):
        return None
    for words in (*_STATED, *(_STATED_OF_ALL if batch_size == 1 else ())):
        if (stated := error.search(_pattern(words))) is not None:
            return _read(stated, error)
    return None


def may_be_too_long(error: ServerError, status: int | None, batch_size: int = 1) -> bool:
    """Whether an input was refused for its length, though ``stated_lengths`` may not know the words.

    Args:
        error: What the server says of what it refuses.
        status: The HTTP status. 413 may be a proxy's, for the bytes of a request, and has no words then.
        batch_size: The number of inputs in the request.

    Returns:
        False where the words are of a rate or of the length of the answer.
    """
    is_too_large = status == _TOO_LARGE and batch_size == 1
    if _is_of_something_else(error) or not (is_too_large or error.search(_TOO_LONG)):
        return False
    # Where the words are known, the numbers beside them were looked at: they are of the answer.
    return stated_lengths(error) is not None or not any(error.search(_pattern(words)) for words in _STATED)


def _is_of_something_else(error: ServerError) -> bool:
    """Whether tokens and lengths are those of a rate or of the answer."""
    return error.search(_OF_A_RATE) is not None or error.search(_OF_THE_OUTPUT) is not None


def _read(stated: re.Match[str], error: ServerError) -> InputLengths | None:
    """The numbers of a match; None where they show that it is not the input that is too long."""
    numbers = {name: int(value.replace(",", "")) for name, value in stated.groupdict().items() if value is not None}
    most = numbers.get("max", error.max_tokens)
    tokens = numbers.get("tokens", error.tokens)
    if most is not None and "output" in numbers:
        if tokens is not None and tokens + numbers["output"] <= most:
            return None
        most -= numbers["output"]
        if most < _MIN_STATED_TOKENS:  # there is room for no input: the answer is to be shorter
            return None
    if most is not None and most % _POSITIONS_STEP == _PADDING_POSITIONS:
        most -= _PADDING_POSITIONS
    if most is not None and tokens is not None and tokens <= most:
        return None
    return InputLengths(sane_tokens(most), sane_tokens(tokens))


def sane_tokens(value: object) -> int | None:
    """A number of tokens as a server or the Hub says it.

    Args:
        value: What it says.

    Returns:
        The number; None for what no text's length can be.

    >>> sane_tokens(512), sane_tokens(1e30), sane_tokens(True), sane_tokens(-1)
    (512, None, None, None)
    """
    return value if type(value) is int and _MIN_STATED_TOKENS <= value <= _MAX_STATED_TOKENS else None
