"""LangChain's classes for Hugging Face and OpenAI: ``langchain_client.py BASE FOLDER``."""

from __future__ import annotations

import sys
from typing import Any

from langchain_huggingface import ChatHuggingFace, HuggingFaceEndpoint
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from results import tell

BASE = sys.argv[1]
TEXT = "Wolfgang Schmidt moved from Berlin to London and loves it."
NAME = "local/smollm2-135m-instruct"
HELLO = "Say hello to Anna."


def endpoint(**arguments: Any) -> HuggingFaceEndpoint:
    """A language model at an address."""
    return HuggingFaceEndpoint(
        endpoint_url=f"{BASE}/models/{NAME}",
        max_new_tokens=6,
        do_sample=False,
        huggingfacehub_api_token="none",
        **arguments,
    )


def embeddings() -> OpenAIEmbeddings:
    """Embeddings of a server that is not OpenAI's, whose tokens LangChain does not know."""
    return OpenAIEmbeddings(
        model="sentence-transformers/all-MiniLM-L6-v2",
        base_url=f"{BASE}/v1",
        api_key="none",
        check_embedding_ctx_length=False,
    )


def chat(**arguments: Any) -> ChatOpenAI:
    """A chat model at an address."""
    return ChatOpenAI(model=NAME, base_url=f"{BASE}/v1", api_key="none", temperature=0, max_tokens=6, **arguments)


tell({
    "generation": lambda: endpoint().invoke("Once upon"),
    "generation_stream": lambda: "".join(endpoint(streaming=True).stream("Once upon")),
    "chat": lambda: ChatHuggingFace(llm=endpoint(), model_id=NAME).invoke(HELLO, temperature=0, max_tokens=6).content,
    "chat_openai": lambda: chat().invoke(HELLO).content,
    "chat_openai_stream": lambda: "".join(part.content for part in chat().stream(HELLO)),
    "vector": lambda: embeddings().embed_query(TEXT),
    "vectors": lambda: embeddings().embed_documents([TEXT, "Hello"]),
})  # fmt: skip
