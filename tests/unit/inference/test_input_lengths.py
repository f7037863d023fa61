"""A text that is too long is known by the words of each server, and by nothing that only looks like them."""

from __future__ import annotations

import json
import random

import pytest

from huggingface_api_handler.inference.echoes import ServerError
from huggingface_api_handler.inference.failures import FailureKind
from huggingface_api_handler.inference.input_lengths import stated_lengths
from tests.support.refusals import classify, error_in

WORDINGS = [
    # Text Embeddings Inference (its issue 356), and what serves its words
    (413, "Input validation error: `inputs` must have less than 512 tokens. Given: 534", 512, 534),
    (413, "Input validation error: inputs must have less than 512 tokens. Given: 516", 512, 516),
    (413, "input must have less than 512 tokens", 512, None),
    (413, "Input validation error: `inputs` must have less than 32000 characters. Given: 67337", None, None),
    (424, "Backend error: could not run model: index-select invalid index 512 with dim size 512", 512, None),
    # Text Generation Inference
    (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 1512. Given: 1500 `inputs` tokens and "
          "100 `max_new_tokens`", 1412, 1500),
    (422, "inputs tokens + max_new_tokens must be <= 1512. Given: 1500 inputs tokens and 100 max_new_tokens", 1412, 1500),
    # the local server
    (413, "`inputs` must have less than 256 tokens. Given: 812", 256, 812),
    (413, "`inputs` must have less than 256 tokens. Given: at least 300000", 256, None),
    (422, "Input validation error: the input must have less than 4096 tokens: the prompt has more", 4096, None),
    # torch, by transformers behind hf-inference and Inference Endpoints (BERTopic 1852, transformers 1726, 2446, 11065)
    (400, "The size of tensor a (678) must match the size of tensor b (512) at non-singleton dimension 1", 512, 678),
    (500, "The size of tensor a (678) must match the size of tensor b (512) at non-singleton dimension 1", 512, 678),
    (500, "The expanded size of the tensor (812) must match the existing size (514) at non-singleton dimension 1.  Target "
          "sizes: [1, 812].  Tensor sizes: [1, 514]", 512, 812),
    (400, "index out of range in self", None, None),
    (500, "index out of range in self", None, None),
    (500, "index out of range: Tried to access index 512 out of table with 511 rows.", None, None),
    (400, "Token indices sequence length is longer than the specified maximum sequence length for this model "
          "(651 > 512). Running this sequence through the model will result in indexing errors", 512, 651),
    (500, "Sequence length must be less than max_position_embeddings (got `sequence length`: 812 and "
          "max_position_embeddings: 512", 512, 812),
    (500, "indices element out of data bounds, idx=512 must be within the inclusive range [-512,511]", 512, None),
    (500, "Attempting to broadcast an axis by a dimension other than 1. 512 by 812", 512, 812),
    # vLLM (19798, 20409, 525, 10440) and what forwards to it
    (400, "This model's maximum context length is 512 tokens. However, you requested 1451 tokens in the input for "
          "embedding generation. Please reduce the length of the input.", 512, 1451),
    (400, "This model's maximum context length is 16384 tokens. However, you requested 122946 tokens (112946 in the "
          "messages, 10000 in the completion). Please reduce the length of the messages or completion.", 6384, 112946),
    (400, "This model's maximum context length is 262144 tokens. However, you requested 128000 output tokens and your "
          "prompt contains at least 134145 input tokens, for a total of at least 262145 tokens.", 134144, None),
    (400, "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens. Please "
          "reduce the length of the input messages.", 4096, 5000),
    (400, "The decoder prompt (length 812) is longer than the maximum model length of 512. Make sure that "
          "`max_model_len` is no smaller than the number of text tokens.", 512, 812),
    (400, "Input prompt (2664 tokens) is too long and exceeds limit of 2048/2560", 2048, 2664),
    # SGLang (8096, 4048)
    (400, "The input (61709 tokens) is longer than the model's context length (40960 tokens).", 40960, 61709),
    (400, "Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens). Use a shorter input", 59862, 160062),
    (400, "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of "
          "5000 tokens: 4000 tokens from the input messages and 1000 tokens for the completion.", 3096, 4000),
    # llama.cpp (7389, 12295), llama-box (gpustack 1357), llama-cpp-python (rllm 55), ctransformers (180)
    (500, "input is too large to process. increase the physical batch size", None, None),
    (500, "input is too large to process, please increase the physical batch size", None, None),
    (500, "input (992 tokens) is too large to process. increase the physical batch size (current batch size: 512)", 512, 992),
    (500, "the request exceeds the available context size. try increasing the context size or enable context shift",
     None, None),
    (400, "the request exceeds the available context size (4096 tokens), try increasing it", 4096, None),
    (400, "request (14429 tokens) exceeds the available context size (8192 tokens), try increasing it", 8192, 14429),
    (500, "input prompt is too big compared to KV size, please increase KV size", None, None),
    (500, "Requested tokens (516) exceed context window of 512", 512, 516),
    (500, "Number of tokens (513) exceeded maximum context length (512).", 512, 513),
    # Ollama (n8n 11144, open-notebook 350) and LM Studio
    (400, "input length exceeds maximum context length", None, None),
    (500, "the input length exceeds the context length", None, None),
    (400, "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context "
          "length of only 4096 tokens, which is not enough.", 4096, None),
    # OpenAI and Azure (JMTEB 15, DeepTutor 521)
    (400, "This model's maximum context length is 8192 tokens, however you requested 51435 tokens (51435 in your "
          "prompt; 0 for the completion). Please reduce your prompt; or completion length.", 8192, 51435),
    (400, "This model's maximum context length is 8192 tokens. However, your messages resulted in 8545 tokens. Please "
          "reduce the length of the messages.", 8192, 8545),
    (400, "Invalid 'input[0]': maximum input length is 8192 tokens.", 8192, None),
    # Cohere (sandbox-topically 4), Jina (autoflow 282), Voyage (latitude-llm 3554), Mistral, Bedrock, Gemini, xAI,
    # Anthropic, DashScope, NVIDIA NIM (nim-anywhere 58)
    (400, "too many tokens: total number of tokens (prompt and prediction) cannot exceed 2048 - received 6354. Try using "
          "a shorter prompt or a smaller max_tokens value.", 2048, 6354),
    (400, "Single text cannot exceed 8192 tokens. 9237 tokens given.", 8192, 9237),
    (400, "Request to model 'voyage-4-large' failed. The example at index 0 in your batch has too many tokens and does "
          "not fit into the model's context window of 32000 tokens. Please lower the number of tokens.", 32000, None),
    (400, "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
     32768, 40000),
    (400, "Too many input tokens. Max input tokens: 8192, request input token count: 9875", 8192, 9875),
    (400, "Unable to submit request because the input token count is 36000 but the model supports up to 32768.", 32768, 36000),
    (400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", 1048576, 1200000),
    (400, "This model's maximum prompt length is 131072 but the request contains 140000 tokens.", 131072, 140000),
    (400, "prompt is too long: 208310 tokens > 200000 maximum", 200000, 208310),
    (400, "Range of input length should be [1, 2048]", 2048, None),
    (400, "in ensemble 'nvidia_nv_rerankqa_mistral_4b_v3', Input length 1024 exceeds maximum allowed token size 512",
     512, 1024),
    # any other that says it in words
    (400, "Sequence length 812 exceeds the maximum sequence length of 512", 512, None),
    (400, "the text exceeds the model's maximum input length of 1,024 tokens", 1024, None),
    (400, "The input is too long", None, None),
]  # fmt: skip

OF_ALL = [
    (400, "Request to model 'voyage-large-2-instruct' failed. The max allowed tokens per submitted batch is 120000. Your "
          "batch has 121138 tokens after truncation. Please lower the number of tokens in the batch.", 120000, 121138),
    (400, "Too many tokens in batch. Max is 16384 got 17555", 16384, 17555),
    (400, "too many tokens: size limit exceeded by 11326 tokens. Try using shorter or fewer inputs. The limit for this "
          "model is 128000 tokens.", 128000, None),
    (400, "Requested 312345 tokens, max 300000 tokens per request", 300000, 312345),
]  # fmt: skip

OTHERS = [
    (400, "Rate limit reached for gpt on tokens per min (TPM): Limit 200000, Used 199000, Requested 5000."),
    (413, "Request too large for model `llama` on tokens per minute (TPM): Limit 6000, Requested 7000, please reduce your "
          "message size and try again."),
    (422, "Input validation error: `max_new_tokens` must be <= 512. Given: 600"),
    (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 1512. Given: 12 `inputs` tokens and 1600 "
          "`max_new_tokens`"),
    (400, "max_tokens is too large: 99999. This model supports at most 16384 completion tokens, whereas you provided 99999"),
    (400, "'max_tokens' or 'max_completion_tokens' is too large: 4000. This model's maximum context length is 4096 tokens "
          "and your request has 812 input tokens (4000 > 4096 - 812)."),
    (400, "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (800 in the messages, "
          "4200 in the completion)."),
    (422, "batch size 40 > maximum allowed batch size 32"),
    (422, "Input validation error: batch size must be at most 32. Given: 512"),
    (400, "The size of tensor a (16) must match the size of tensor b (48) at non-singleton dimension 1"),
    (400, "The size of tensor a (812) must match the size of tensor b (768) at non-singleton dimension 0"),
    (400, "list index out of range"),
    (400, "the file exceeds the maximum size of 512"),
    (500, "the request took too long"),
    (500, "CUDA out of memory. Tried to allocate 512 tokens"),
    (502, "Bad gateway"),
    (500, "status 500: the length of the queue exceeds 512"),
]  # fmt: skip


def said(words: str) -> bytes:
    return json.dumps({"error": words}).encode()


@pytest.mark.parametrize(("status", "words", "most", "tokens"), WORDINGS, ids=lambda value: str(value)[:40])
def test_a_server_that_refuses_an_input_for_its_length_is_understood(
    status: int, words: str, most: int | None, tokens: int | None
) -> None:
    failure = classify(status, {}, said(words))
    assert (failure.kind, failure.is_too_long) == (FailureKind.INPUT_REJECTED, True)
    assert (failure.stated_max_tokens, failure.stated_tokens) == (most, tokens)
    assert failure.is_about_input or status == 413

    among_others = classify(status, {}, said(words), batch_size=8)
    assert (among_others.kind, among_others.is_too_long) == (FailureKind.BATCH_REJECTED, True)
    assert (among_others.stated_max_tokens, among_others.stated_tokens) == (most, tokens)
    assert not among_others.is_batch_too_large

    in_answer = error_in(said(words))
    assert in_answer is not None
    assert (in_answer.is_too_long, in_answer.stated_max_tokens, in_answer.stated_tokens) == (True, most, tokens)


@pytest.mark.parametrize(("status", "words", "most", "tokens"), OF_ALL, ids=lambda value: str(value)[:40])
def test_a_limit_of_all_inputs_together_is_one_of_an_input_that_is_alone(
    status: int, words: str, most: int, tokens: int | None
) -> None:
    alone = classify(status, {}, said(words))
    assert (alone.is_too_long, alone.stated_max_tokens, alone.stated_tokens) == (True, most, tokens)
    among_others = classify(status, {}, said(words), batch_size=8)
    assert (among_others.stated_max_tokens, among_others.stated_tokens) == (None, None)
    assert among_others.kind is FailureKind.BATCH_REJECTED


@pytest.mark.parametrize(("status", "words"), OTHERS, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_what_only_looks_like_a_length_is_none(status: int, words: str, batch_size: int) -> None:
    failure = classify(status, {}, said(words), batch_size=batch_size)
    assert (failure.is_too_long, failure.stated_max_tokens, failure.stated_tokens) == (False, None, None)
    if status >= 500:
        assert failure.kind is FailureKind.TRANSIENT


def test_the_numbers_beside_the_words_are_read() -> None:
    words = "the request exceeds the available context size. try increasing the context size or enable context shift"
    error = {"code": 500, "message": words, "type": "exceed_context_size_error", "n_prompt_tokens": 1407, "n_ctx": 256}
    failure = classify(500, {}, json.dumps({"error": error}).encode())
    assert (failure.kind, failure.stated_max_tokens, failure.stated_tokens) == (FailureKind.INPUT_REJECTED, 256, 1407)
    in_answer = error_in(json.dumps({"error": error}).encode())
    assert in_answer is not None
    assert (in_answer.kind, in_answer.stated_max_tokens) == (FailureKind.INPUT_REJECTED, 256)
    odd = classify(500, {}, json.dumps({"error": {**error, "n_ctx": "many", "n_prompt_tokens": -5}}).encode())
    assert (odd.is_too_long, odd.stated_max_tokens, odd.stated_tokens) == (True, None, None)


def test_the_words_of_a_row_are_not_the_servers() -> None:
    row = "Input validation error: `inputs` must have less than 512 tokens. Given: 534"
    failure = classify(400, {}, said(f"cannot read: {row}"), sent=json.dumps({"inputs": row}).encode())
    assert (failure.is_too_long, failure.stated_max_tokens) == (False, None)
    again = classify(500, {}, said(f"cannot read: {row}"), sent=json.dumps({"inputs": row}).encode())
    assert again.kind is FailureKind.TRANSIENT


def test_a_proxy_that_takes_no_more_bytes_refuses_the_input() -> None:
    page = b"<html><head><title>413 Request Entity Too Large</title></head></html>"
    for body in (b"", page, b"{}"):
        alone = classify(413, {}, body)
        assert (alone.kind, alone.is_too_long, alone.stated_max_tokens) == (FailureKind.INPUT_REJECTED, True, None)
        among_others = classify(413, {}, body, batch_size=8)
        assert among_others.is_batch_too_large


@pytest.mark.parametrize("digits", range(1, 16))
def test_only_numbers_that_a_length_can_be_are_taken(digits: int) -> None:
    number = random.Random(digits).randrange(10 ** (digits - 1), 10**digits)
    for template in (
        "`inputs` must have less than {} tokens",
        "This model's maximum context length is {} tokens",
        "the size of tensor a (99999999) must match the size of tensor b ({}) at non-singleton dimension 1",
    ):
        lengths = stated_lengths(ServerError(template.format(number)))
        most = None if lengths is None else lengths.max_tokens
        assert most == (number if 8 <= number <= 10_000_000 else None)
