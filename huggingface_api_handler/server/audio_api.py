"""Speech in OpenAI's form: transcriptions of audio files, and texts that are spoken."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from . import registry
from .body_reader import read_body
from .model_card import ModelCard
from .model_runs import ModelRun, RunOptions
from .openai_api import path_model
from .protocol import speech
from .protocol.multipart import parse_form
from .protocol.outputs import MediaFile, Transcript
from .responses import json_response, output_response


async def transcribe(request: Request) -> Response:
    """Transcribe an audio file.

    Args:
        request: The request, whose body is a form.

    Returns:
        The transcript as JSON, text or subtitles.

    Raises:
        HTTPError: What is wrong with the request or the model.
    """
    named = path_model(request)
    form = parse_form(await read_body(request), request.headers.get("content-type", ""))
    body = speech.parse_transcription_form(form)
    card: ModelCard[bytes, Transcript]
    card, _ = registry.find_card(speech.TRANSCRIPTION_TASK, named or body.model)
    parameters: dict[str, object] = {"language": body.language} if body.language else {}
    if body.wants_timestamps:
        parameters["return_timestamps"] = True
        # Pipelines do not have it.
        parameters |= {} if card.known_parameters else {"return_language": True}
    inputs = card.parse_inputs(body.audio)
    run = ModelRun(request, card, parameters, options=RunOptions(ignored=body.ignored))
    [transcript] = await run.predict(inputs)
    content = speech.transcript_content(body, transcript)
    if isinstance(content, str):
        return PlainTextResponse(content, headers=run.headers)
    return json_response(content, headers=run.headers)


async def speak(request: Request) -> Response:
    """Speak a text.

    Args:
        request: The request.

    Returns:
        An audio file.

    Raises:
        HTTPError: What is wrong with the request or the model.
    """
    named = path_model(request)
    body = speech.parse_speech_request(await read_body(request))
    card: ModelCard[str, MediaFile]
    card, _ = registry.find_card(speech.SPEECH_TASK, named or body.model)
    voice_warning = speech.check_voice(body.voice, card.voices)
    inputs = card.parse_inputs(body.text)
    run = ModelRun(request, card, {}, options=RunOptions(ignored=body.ignored))
    if voice_warning:
        run.warn(voice_warning)
    [file] = await run.predict(inputs)
    speech.check_speech_format(body.response_format, file)
    return output_response(file, run.headers)
