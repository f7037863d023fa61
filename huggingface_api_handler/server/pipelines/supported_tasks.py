"""The tasks that pipelines can be served for: one row each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..models import chat
from ..protocol import media_inputs
from ..protocol.errors import invalid_field
from ..protocol.parameters import reject_unknown
from ..protocol.request_body import ModelInputs, parse_sentence_pair, parse_text, parse_texts
from . import generation, postprocessing, structured_inputs, task_calls

REMOVED_IN_TRANSFORMERS_5 = (
    "question-answering", "summarization", "translation", "text2text-generation", "visual-question-answering",
    "image-to-text",
)  # fmt: skip

TASK_ALIASES = {
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
    parse_inputs: Callable[[Any], ModelInputs]
    call: Callable[[Any, Any, dict[str, Any]], Any]
    """(pipeline, one input, parameters) to what the pipeline gives."""
    postprocess: Callable[[Any], Any]
    """What the pipeline gives, as the task's answer to one input."""
    parameters: tuple[str, ...] = ()
    defaults: Mapping[str, Any] | None = None
    accepts_generation_parameters: bool = False
    """Takes the parameters of generation too, also in a nested object."""
    wrap_single: bool = False
    """A single input's answer is sent as a list of one."""
    transformers_task: str = ""
    """The pipeline's own name of the task, where it has another one."""
    required_modules: tuple[str, ...] = ()
    """Modules beyond torch and transformers."""

    @property
    def pipeline_name(self) -> str:
        """What `transformers.pipeline` is asked for."""
        return self.transformers_task or self.name

    def validate_parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters for the call. Raises HTTPError 400 for one that the task does not have."""
        nested = generation.NESTED_OBJECTS if self.accepts_generation_parameters else ()
        known = (*self.parameters, *(generation.GENERATION_PARAMETERS if self.accepts_generation_parameters else ()))
        reject_unknown(given, self.name, (*known, *nested))
        for name in nested:
            part = given.get(name)
            if part is not None and not isinstance(part, dict):
                raise invalid_field(f"parameters.{name}", f"expected an object, got {part!r:.80}")
            reject_unknown(part or {}, self.name, known)
        return {**(self.defaults or {}), **{name: value for name, value in given.items() if value is not None}}


_IMAGE, _SOUND = ("PIL",), ("soundfile", "soxr")
_TOP = ("top_k", "function_to_apply")
_QUESTION = ("top_k", "doc_stride", "max_answer_len", "max_seq_len", "max_question_len", "handle_impossible_answer")
_SEQ2SEQ = ("truncation", "clean_up_tokenization_spaces")

TASKS: Mapping[str, PipelineTask] = {
    task.name: task
    for task in (
        PipelineTask(
            "text-classification",
            parse_texts,
            task_calls.call_with_input,
            postprocessing.sort_by_score,
            (*_TOP, "truncation", "max_length", "padding"),
            defaults={"top_k": None},
            wrap_single=True,
        ),
        PipelineTask(
            "token-classification",
            parse_texts,
            task_calls.call_with_input,
            postprocessing.as_detections,
            ("aggregation_strategy", "ignore_labels", "stride"),
            defaults={"aggregation_strategy": "simple"},
        ),
        PipelineTask(
            "fill-mask", parse_texts, task_calls.call_with_input, postprocessing.as_detections, ("top_k", "targets")
        ),
        PipelineTask(
            "zero-shot-classification",
            parse_texts,
            task_calls.call_with_text_and_labels,
            postprocessing.unwrap_single,
            ("candidate_labels", "hypothesis_template", "multi_label"),
        ),
        PipelineTask(
            "summarization",
            parse_texts,
            generation.generate_seq2seq,
            postprocessing.unwrap_single,
            _SEQ2SEQ,
            accepts_generation_parameters=True,
            wrap_single=True,
        ),
        PipelineTask(
            "translation",
            parse_texts,
            generation.generate_seq2seq,
            postprocessing.unwrap_single,
            (*_SEQ2SEQ, "src_lang", "tgt_lang"),
            accepts_generation_parameters=True,
            wrap_single=True,
        ),
        PipelineTask(
            "text2text-generation",
            parse_texts,
            generation.generate_seq2seq,
            postprocessing.unwrap_single,
            _SEQ2SEQ,
            accepts_generation_parameters=True,
            wrap_single=True,
        ),
        PipelineTask(
            "text-generation",
            parse_texts,
            generation.generate_text,
            postprocessing.unwrap_single,
            ("return_full_text", "truncation", "clean_up_tokenization_spaces", "handle_long_generation"),
            accepts_generation_parameters=True,
            wrap_single=True,
        ),
        PipelineTask(
            "chat-completion",
            chat.parse_messages,
            generation.complete_chat,
            postprocessing.to_json,
            ("max_tokens", "max_completion_tokens"),
            accepts_generation_parameters=True,
            transformers_task="text-generation",
        ),
        PipelineTask(
            "question-answering",
            structured_inputs.parse_context_question,
            task_calls.call_with_context,
            postprocessing.unwrap_single,
            (*_QUESTION, "align_to_words"),
        ),
        PipelineTask(
            "table-question-answering",
            structured_inputs.parse_table_question,
            task_calls.call_with_table,
            postprocessing.unwrap_single,
            ("sequential", "padding", "truncation"),
            required_modules=("pandas",),
        ),
        PipelineTask(
            "document-question-answering",
            structured_inputs.parse_image_question,
            task_calls.call_with_document,
            postprocessing.as_list,
            (*_QUESTION, "lang", "word_boxes"),
            required_modules=_IMAGE,
        ),
        PipelineTask(
            "visual-question-answering",
            structured_inputs.parse_image_question,
            task_calls.call_with_image_question,
            postprocessing.as_list,
            ("top_k",),
            required_modules=_IMAGE,
        ),
        PipelineTask(
            "image-classification",
            media_inputs.parse_image,
            task_calls.call_with_image,
            postprocessing.sort_by_score,
            _TOP,
            required_modules=_IMAGE,
        ),
        PipelineTask(
            "zero-shot-image-classification",
            media_inputs.parse_image,
            task_calls.call_with_image_and_labels,
            postprocessing.sort_by_score,
            ("candidate_labels", "hypothesis_template"),
            required_modules=_IMAGE,
        ),
        PipelineTask(
            "object-detection",
            media_inputs.parse_image,
            task_calls.call_with_image,
            postprocessing.as_detections,
            ("threshold",),
            required_modules=_IMAGE,
        ),
        PipelineTask(
            "zero-shot-object-detection",
            media_inputs.parse_image,
            task_calls.call_with_image_and_labels,
            postprocessing.as_detections,
            ("candidate_labels", "threshold", "top_k"),
            required_modules=_IMAGE,
        ),
        PipelineTask(
            "image-segmentation",
            media_inputs.parse_image,
            task_calls.call_with_image,
            postprocessing.as_segments,
            ("subtask", "threshold", "mask_threshold", "overlap_mask_area_threshold"),
            required_modules=_IMAGE,
        ),
        PipelineTask(
            "depth-estimation",
            media_inputs.parse_image,
            task_calls.call_with_image,
            postprocessing.depth_map_file,
            required_modules=_IMAGE,
        ),
        PipelineTask(
            "image-to-text",
            media_inputs.parse_image,
            generation.describe_image,
            postprocessing.as_list,
            accepts_generation_parameters=True,
            required_modules=_IMAGE,
        ),
        PipelineTask(
            "automatic-speech-recognition",
            media_inputs.parse_audio,
            generation.transcribe_audio,
            postprocessing.as_transcript,
            ("return_timestamps", "chunk_length_s", "stride_length_s", "language", "task"),
            accepts_generation_parameters=True,
            required_modules=_SOUND,
        ),
        PipelineTask(
            "audio-classification",
            media_inputs.parse_audio,
            task_calls.call_with_audio,
            postprocessing.sort_by_score,
            _TOP,
            required_modules=_SOUND,
        ),
        PipelineTask(
            "text-to-speech",
            parse_text,
            generation.synthesize_speech,
            postprocessing.audio_file,
            accepts_generation_parameters=True,
            transformers_task="text-to-audio",
            required_modules=_SOUND,
        ),
        PipelineTask(
            "text-to-audio",
            parse_text,
            generation.synthesize_speech,
            postprocessing.audio_file,
            accepts_generation_parameters=True,
            required_modules=_SOUND,
        ),
        PipelineTask(
            "video-classification",
            structured_inputs.parse_video,
            task_calls.call_with_video,
            postprocessing.sort_by_score,
            (*_TOP, "num_frames", "frame_sampling_rate"),
            required_modules=("av",),
        ),
        # These two call the pipeline in embeddings, which knows how the model pools.
        PipelineTask(
            "feature-extraction",
            parse_texts,
            task_calls.call_with_input,
            postprocessing.to_json,
            ("normalize", "truncate", "truncation_direction", "prompt_name"),
        ),
        PipelineTask(
            "sentence-similarity",
            parse_sentence_pair,
            task_calls.call_with_input,
            postprocessing.to_json,
            transformers_task="feature-extraction",
        ),
    )
}

# What else a pipeline of a task is good for, under the same name.
COMPANION_TASKS = {
    "feature-extraction": ("feature-extraction", "sentence-similarity"),
    "sentence-similarity": ("feature-extraction", "sentence-similarity"),
    "text-generation": ("text-generation", "chat-completion"),
}


def resolve_tasks(task: str) -> tuple[PipelineTask, ...]:
    """The tasks that a model of `task` is served for, and `task` under the Inference API's own name.

    Raises ValueError for a task that is not served, naming those that are.
    """
    name = TASK_ALIASES.get(task, "translation" if _LANGUAGES.fullmatch(task) else task)
    if name not in TASKS:
        raise ValueError(f"{task} is not a task that can be served; these can: {', '.join(sorted(TASKS))}")
    return tuple(TASKS[one] for one in COMPANION_TASKS.get(name, (name,)))


def removal_notice(task: str, version: str) -> str | None:
    """Why the transformers installed cannot do a task, and what to do; None when it can."""
    if (
        task not in REMOVED_IN_TRANSFORMERS_5
        or not version.partition(".")[0].isdecimal()
        or int(version.partition(".")[0]) < 5
    ):
        return None
    return (
        f"{task} left transformers in 5.0, and {version} is installed. Serve this model from an environment of its "
        'own that has transformers 4.57: pip install "transformers>=4.57,<5"'
    )
