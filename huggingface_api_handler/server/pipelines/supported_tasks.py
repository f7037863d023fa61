"""The tasks that pipelines can be served for: one row each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..models import chat
from ..protocol import media_inputs
from ..protocol import parameters as check
from ..protocol.errors import bad_field
from ..protocol.request_body import Inputs, sentence_pairs, text, texts
from . import generation
from . import postprocessing as answers
from . import structured_inputs as inputs
from . import task_calls as calls

LEFT_IN_5 = (
    "question-answering", "summarization", "translation", "text2text-generation", "visual-question-answering",
    "image-to-text",
)  # fmt: skip

ALIASES = {
    "sentiment-analysis": "text-classification",
    "ner": "token-classification",
    "vqa": "visual-question-answering",
    "text2text": "text2text-generation",
    "chat": "text-generation",
    "chat-completion": "text-generation",
    "conversational": "text-generation",
    "asr": "automatic-speech-recognition",
}
_LANGUAGES = re.compile(r"translation_\w+_to_\w+")


@dataclass(frozen=True)
class PipelineTask:
    """One task of the Inference API on one kind of pipeline."""

    name: str
    read: Callable[[Any], Inputs]
    call: Callable[[Any, Any, dict[str, Any]], Any]
    """(pipeline, one input, parameters) to what the pipeline gives."""
    answer: Callable[[Any], Any]
    """What the pipeline gives, as the task's answer to one input."""
    parameters: tuple[str, ...] = ()
    defaults: Mapping[str, Any] | None = None
    generates: bool = False
    """Takes the parameters of generation too, also in a nested object."""
    wrap_single: bool = False
    """A single input's answer is sent as a list of one."""
    pipeline: str = ""
    """The pipeline's own name of the task, where it has another one."""
    needs: tuple[str, ...] = ()
    """Modules beyond torch and transformers."""

    @property
    def pipeline_name(self) -> str:
        """What `transformers.pipeline` is asked for."""
        return self.pipeline or self.name

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters for the call. Raises Refusal 400 for one that the task does not have."""
        nested = generation.NESTED if self.generates else ()
        known = (*self.parameters, *(generation.PARAMETERS if self.generates else ()))
        check.only(given, self.name, (*known, *nested))
        for name in nested:
            part = given.get(name)
            if part is not None and not isinstance(part, dict):
                raise bad_field(f"parameters.{name}", f"expected an object, got {part!r:.80}")
            check.only(part or {}, self.name, known)
        return {**(self.defaults or {}), **{name: value for name, value in given.items() if value is not None}}


_IMAGE, _SOUND = ("PIL",), ("soundfile", "soxr")
_TOP = ("top_k", "function_to_apply")
_QUESTION = ("top_k", "doc_stride", "max_answer_len", "max_seq_len", "max_question_len", "handle_impossible_answer")
_SEQ2SEQ = ("truncation", "clean_up_tokenization_spaces")

TASKS: Mapping[str, PipelineTask] = {
    task.name: task
    for task in (
        PipelineTask(
            "text-classification", texts, calls.direct, answers.ranked, (*_TOP, "truncation", "max_length", "padding"),
            defaults={"top_k": None}, wrap_single=True,
        ),
        PipelineTask(
            "token-classification", texts, calls.direct, answers.findings,
            ("aggregation_strategy", "ignore_labels", "stride"), defaults={"aggregation_strategy": "simple"},
        ),
        PipelineTask("fill-mask", texts, calls.direct, answers.findings, ("top_k", "targets")),
        PipelineTask(
            "zero-shot-classification", texts, calls.zero_shot, answers.one,
            ("candidate_labels", "hypothesis_template", "multi_label"),
        ),
        PipelineTask(
            "summarization", texts, generation.seq2seq, answers.one, _SEQ2SEQ, generates=True, wrap_single=True
        ),
        PipelineTask(
            "translation", texts, generation.seq2seq, answers.one, (*_SEQ2SEQ, "src_lang", "tgt_lang"), generates=True,
            wrap_single=True,
        ),
        PipelineTask(
            "text2text-generation", texts, generation.seq2seq, answers.one, _SEQ2SEQ, generates=True, wrap_single=True
        ),
        PipelineTask(
            "text-generation", texts, generation.text_generation, answers.one,
            ("return_full_text", "truncation", "clean_up_tokenization_spaces", "handle_long_generation"),
            generates=True, wrap_single=True,
        ),
        PipelineTask(
            "chat-completion", chat.conversation, generation.chat, answers.plain,
            ("max_tokens", "max_completion_tokens"), generates=True, pipeline="text-generation",
        ),
        PipelineTask(
            "question-answering", inputs.context_question, calls.on_context, answers.one,
            (*_QUESTION, "align_to_words"),
        ),
        PipelineTask(
            "table-question-answering", inputs.table_question, calls.on_table, answers.one,
            ("sequential", "padding", "truncation"), needs=("pandas",),
        ),
        PipelineTask(
            "document-question-answering", inputs.image_question, calls.on_document, answers.listed,
            (*_QUESTION, "lang", "word_boxes"), needs=_IMAGE,
        ),
        PipelineTask(
            "visual-question-answering", inputs.image_question, calls.on_image_question, answers.listed, ("top_k",),
            needs=_IMAGE,
        ),
        PipelineTask("image-classification", media_inputs.image, calls.on_image, answers.ranked, _TOP, needs=_IMAGE),
        PipelineTask(
            "zero-shot-image-classification", media_inputs.image, calls.on_image_with_labels, answers.ranked,
            ("candidate_labels", "hypothesis_template"), needs=_IMAGE,
        ),
        PipelineTask(
            "object-detection", media_inputs.image, calls.on_image, answers.findings, ("threshold",), needs=_IMAGE
        ),
        PipelineTask(
            "zero-shot-object-detection", media_inputs.image, calls.on_image_with_labels, answers.findings,
            ("candidate_labels", "threshold", "top_k"), needs=_IMAGE,
        ),
        PipelineTask(
            "image-segmentation", media_inputs.image, calls.on_image, answers.segments,
            ("subtask", "threshold", "mask_threshold", "overlap_mask_area_threshold"), needs=_IMAGE,
        ),
        PipelineTask("depth-estimation", media_inputs.image, calls.on_image, answers.depth, needs=_IMAGE),
        PipelineTask(
            "image-to-text", media_inputs.image, generation.described, answers.listed, generates=True, needs=_IMAGE
        ),
        PipelineTask(
            "automatic-speech-recognition", media_inputs.sound, generation.transcribed, answers.transcript,
            ("return_timestamps", "chunk_length_s", "stride_length_s", "language", "task"), generates=True,
            needs=_SOUND,
        ),
        PipelineTask("audio-classification", media_inputs.sound, calls.on_sound, answers.ranked, _TOP, needs=_SOUND),
        PipelineTask(
            "text-to-speech", text, generation.spoken, answers.speech, generates=True, pipeline="text-to-audio",
            needs=_SOUND,
        ),
        PipelineTask("text-to-audio", text, generation.spoken, answers.speech, generates=True, needs=_SOUND),
        PipelineTask(
            "video-classification", inputs.video, calls.on_video, answers.ranked,
            (*_TOP, "num_frames", "frame_sampling_rate"), needs=("av",),
        ),
        # These two call the pipeline in embeddings, which knows how the model pools.
        PipelineTask(
            "feature-extraction", texts, calls.direct, answers.plain,
            ("normalize", "truncate", "truncation_direction", "prompt_name"),
        ),
        PipelineTask(
            "sentence-similarity", sentence_pairs, calls.direct, answers.plain, pipeline="feature-extraction"
        ),
    )
}  # fmt: skip

# What else a pipeline of a task is good for, under the same name.
TOGETHER = {
    "feature-extraction": ("feature-extraction", "sentence-similarity"),
    "sentence-similarity": ("feature-extraction", "sentence-similarity"),
    "text-generation": ("text-generation", "chat-completion"),
}


def named(task: str) -> tuple[PipelineTask, ...]:
    """The tasks that a model of `task` is served for, and `task` under the Inference API's own name.

    Raises ValueError for a task that is not served, naming those that are.
    """
    name = ALIASES.get(task, "translation" if _LANGUAGES.fullmatch(task) else task)
    if name not in TASKS:
        raise ValueError(f"{task} is not a task that can be served; these can: {', '.join(sorted(TASKS))}")
    return tuple(TASKS[one] for one in TOGETHER.get(name, (name,)))


def left(task: str, version: str) -> str | None:
    """Why the transformers installed cannot do a task, and what to do; None when it can."""
    if task not in LEFT_IN_5 or not version.partition(".")[0].isdecimal() or int(version.partition(".")[0]) < 5:
        return None
    return (
        f"{task} left transformers in 5.0, and {version} is installed. Serve this model from an environment of its "
        'own that has transformers 4.57: pip install "transformers>=4.57,<5"'
    )
