"""OpenAI's client: ``openai_client.py BASE FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from openai import OpenAI
from results import tell

BASE, FOLDER = sys.argv[1], Path(sys.argv[2])
TEXT = "Wolfgang Schmidt moved from Berlin to London and loves it."
CHAT: dict[str, Any] = {
    "model": "local/smollm2-135m-instruct",
    "messages": [{"role": "user", "content": "Say hello to Anna."}],
    "max_tokens": 6,
    "temperature": 0,
}
WRITE: dict[str, Any] = {"model": CHAT["model"], "prompt": "Once upon", "max_tokens": 6, "temperature": 0}
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
FORM: Any = {"type": "json_schema", "json_schema": {"name": "reply", "schema": SCHEMA}}
PARTS = [{"role": "user", "content": [{"type": "text", "text": "Say hello to Anna."}]}]
EMBED = "sentence-transformers/all-MiniLM-L6-v2"
client = OpenAI(base_url=f"{BASE}/v1", api_key="none", max_retries=0, timeout=300)


def transcript() -> str:
    """The text of a sound."""
    with (FOLDER / "speech.wav").open("rb") as file:
        return client.audio.transcriptions.create(model="local/whisper-base", file=file).text


tell({
    "models": lambda: sorted(model.id for model in client.models.list()),
    "chat": lambda: client.chat.completions.create(**CHAT).choices[0].message.content,
    "chat_parts": lambda: client.chat.completions.create(**{**CHAT, "messages": PARTS}).choices[0].message.content,
    "chat_stream": lambda: "".join(
        part.choices[0].delta.content or "" for part in client.chat.completions.create(**CHAT, stream=True) if part.choices
    ),
    "chat_schema": lambda: client.chat.completions.create(**{**CHAT, "max_tokens": 30}, response_format=FORM).choices[0].message.content,
    "completion": lambda: client.completions.create(**WRITE).choices[0].text,
    "completion_stream": lambda: "".join(part.choices[0].text for part in client.completions.create(**WRITE, stream=True) if part.choices),
    "vector": lambda: client.embeddings.create(model=EMBED, input=TEXT).data[0].embedding,
    "vector_floats": lambda: client.embeddings.create(model=EMBED, input=TEXT, encoding_format="float").data[0].embedding,
    "vectors": lambda: [one.embedding for one in client.embeddings.create(model=EMBED, input=[TEXT, "Hello"]).data],
    "transcript": transcript,
    "speech": lambda: client.audio.speech.create(
        model="local/piper-joe", voice="alloy", input="Hello", response_format="wav"
    ).content.hex()[:8],
    "unknown_model": lambda: client.chat.completions.create(**{**CHAT, "model": "no/such"}),
})  # fmt: skip
