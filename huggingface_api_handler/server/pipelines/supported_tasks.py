"""The tasks that pipelines can be served for: one entry each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic

from ..protocol.chat_completion import parse_messages
from ..protocol.errors import invalid_field
from ..protocol.inputs import (
    InputT,
    ModelInputs,
    parse_audio,
    parse_image,
    parse_similarity_input,
    parse_text,
    parse_texts,
)
from ..protocol.json_types import Parameters
from ..protocol.outputs import Output
from ..protocol.parameters import reject_unknown
from ..protocol.structured_inputs import (
    parse_context_question,
    parse_image_question,
    parse_table_question,
    parse_video,
)
from ..protocol.zero_shot_forms import OUTPUT_FORMAT
from . import generation, postprocessing, task_calls
from .transformers_types import Pipeline

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
_TEXT_PARSERS = (parse_texts, parse_messages, parse_similarity_input)
_LANGUAGES = re.compile(r"translation_\w+_to_\w+")


@dataclass(frozen=True)
class PipelineTask(Generic[InputT]):
    """One task of the Inference API on one kind of pipeline.

    Attributes:
        name: The task, under the Inference API's name.
        parse_inputs: Checks the request's `inputs`. Raises HTTPError.
        call: Calls the pipeline for one input with checked parameters.
        postprocess: Makes the task's output of what `call` returned.
        parameters: Names of the task's parameters.
        defaults: Values of parameters that are not given.
        accepts_generation_parameters: Takes the parameters of generation too, also in a nested object.
        wrap_single: The output for a single input is sent as a list of one.
        transformers_task: transformers' name of the task, where it is another one.
        required_modules: Modules beyond torch and transformers.
    """

    name: str
    parse_inputs: Callable[[object], ModelInputs[InputT]]
    call: Callable[[Pipeline, InputT, Parameters], object]
    postprocess: Callable[[Any], Output]
    parameters: tuple[str, ...] = ()
    defaults: Parameters | None = None
    accepts_generation_parameters: bool = False
    wrap_single: bool = False
    transformers_task: str = ""
    required_modules: tuple[str, ...] = ()

    @property
    def pipeline_name(self) -> str:
        """The task that `transformers.pipeline` is asked for."""
        return self.transformers_task or self.name

    @property
    def known_parameters(self) -> tuple[str, ...]:
        """For tasks that generate, the parameters beside which others are ignored."""
        if not self.accepts_generation_parameters:
            return ()
        return (*self.parameters, *generation.GENERATION_PARAMETERS, *generation.NESTED_OBJECTS)

    @property
    def reads_from_the_start(self) -> bool:
        """Whether of a text that is too long no more than its beginning is read.

        Pipelines that answer questions read all of the text that has the answer, in windows.
        """
        return self.parse_inputs in _TEXT_PARSERS

    def validate_parameters(self, parameters: Parameters) -> dict[str, object]:
        """Check the names of a request's parameters.

        Args:
            parameters: The request's parameters; for tasks that generate, those of `known_parameters`.

        Returns:
            Those that are given, and the defaults of others.

        Raises:
            HTTPError: 400 for a parameter that the task does not have.
        """
        supported = self.known_parameters or self.parameters
        reject_unknown(parameters, self.name, supported)
        for name in generation.NESTED_OBJECTS if self.accepts_generation_parameters else ():
            nested = parameters.get(name)
            if nested is not None and not isinstance(nested, dict):
                raise invalid_field(f"parameters.{name}", f"expected an object, got {nested!r:.80}")
            reject_unknown(nested or {}, self.name, supported)
        return {**(self.defaults or {}), **{name: value for name, value in parameters.items() if value is not None}}


_IMAGE_MODULES = ("PIL",)
_AUDIO_MODULES = ("soundfile", "soxr")
_CLASSIFICATION_PARAMETERS = ("top_k", "function_to_apply")
_QUESTION_PARAMETERS = (
    "top_k",
    "doc_stride",
    "max_answer_len",
    "max_seq_len",
    "max_question_len",
    "handle_impossible_answer",
)


def _seq2seq_task(name: str, *parameters: str) -> PipelineTask[str]:
    return PipelineTask(
        name,
        parse_texts,
        generation.generate_seq2seq,
        postprocessing.unwrap_single,
        ("truncation", "truncate", "clean_up_tokenization_spaces", *parameters),
        accepts_generation_parameters=True,
        wrap_single=True,
    )


_ALL_TASKS: tuple[PipelineTask[Any], ...] = (
    PipelineTask(
        "text-classification",
        parse_texts,
        task_calls.call_with_input,
        postprocessing.sort_by_score,
        (*_CLASSIFICATION_PARAMETERS, "truncation", "truncate", "max_length", "padding"),
        defaults={"top_k": None},
        wrap_single=True,
    ),
    PipelineTask(
        "token-classification",
        parse_texts,
        task_calls.call_with_input,
        postprocessing.as_detections,
        ("aggregation_strategy", "ignore_labels", "stride", "truncate"),
        defaults={"aggregation_strategy": "simple"},
    ),
    PipelineTask(
        "fill-mask", parse_texts, task_calls.call_with_input, postprocessing.as_detections, ("top_k", "targets")
    ),
    PipelineTask(
        "zero-shot-classification",
        parse_texts,
        task_calls.call_with_text_and_labels,
        postprocessing.as_detections,
        ("candidate_labels", "hypothesis_template", "multi_label", "truncate", OUTPUT_FORMAT),
    ),
    _seq2seq_task("summarization"),
    _seq2seq_task("translation", "src_lang", "tgt_lang"),
    _seq2seq_task("text2text-generation"),
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
        parse_messages,
        generation.complete_chat,
        postprocessing.to_json,
        ("max_tokens", "max_completion_tokens"),
        accepts_generation_parameters=True,
        transformers_task="text-generation",
    ),
    PipelineTask(
        "question-answering",
        parse_context_question,
        task_calls.call_with_fields,
        postprocessing.unwrap_single,
        (*_QUESTION_PARAMETERS, "align_to_words"),
    ),
    PipelineTask(
        "table-question-answering",
        parse_table_question,
        task_calls.call_with_fields,
        postprocessing.unwrap_single,
        ("sequential", "padding", "truncation"),
        required_modules=("pandas",),
    ),
    PipelineTask(
        "document-question-answering",
        parse_image_question,
        task_calls.call_with_document,
        postprocessing.as_list,
        (*_QUESTION_PARAMETERS, "lang", "word_boxes"),
        required_modules=_IMAGE_MODULES,
    ),
    PipelineTask(
        "visual-question-answering",
        parse_image_question,
        task_calls.call_with_image_question,
        postprocessing.as_list,
        ("top_k",),
        required_modules=_IMAGE_MODULES,
    ),
    PipelineTask(
        "image-classification",
        parse_image,
        task_calls.call_with_image,
        postprocessing.sort_by_score,
        _CLASSIFICATION_PARAMETERS,
        required_modules=_IMAGE_MODULES,
    ),
    PipelineTask(
        "zero-shot-image-classification",
        parse_image,
        task_calls.call_with_image_and_labels,
        postprocessing.sort_by_score,
        ("candidate_labels", "hypothesis_template"),
        required_modules=_IMAGE_MODULES,
    ),
    PipelineTask(
        "object-detection",
        parse_image,
        task_calls.call_with_image,
        postprocessing.as_detections,
        ("threshold",),
        required_modules=_IMAGE_MODULES,
    ),
    PipelineTask(
        "zero-shot-object-detection",
        parse_image,
        task_calls.call_with_image_and_labels,
        postprocessing.as_detections,
        ("candidate_labels", "threshold", "top_k"),
        required_modules=_IMAGE_MODULES,
    ),
    PipelineTask(
        "image-segmentation",
        parse_image,
        task_calls.call_with_image,
        postprocessing.as_segments,
        ("subtask", "threshold", "mask_threshold", "overlap_mask_area_threshold"),
        required_modules=_IMAGE_MODULES,
    ),
    PipelineTask(
        "depth-estimation",
        parse_image,
        task_calls.call_with_image,
        postprocessing.depth_map_file,
        required_modules=_IMAGE_MODULES,
    ),
    PipelineTask(
        "image-to-text",
        parse_image,
        generation.describe_image,
        postprocessing.as_list,
        accepts_generation_parameters=True,
        required_modules=_IMAGE_MODULES,
    ),
    PipelineTask(
        "automatic-speech-recognition",
        parse_audio,
        generation.transcribe_audio,
        postprocessing.as_transcript,
        ("return_timestamps", "chunk_length_s", "stride_length_s", "language", "task"),
        accepts_generation_parameters=True,
        required_modules=_AUDIO_MODULES,
    ),
    PipelineTask(
        "audio-classification",
        parse_audio,
        task_calls.call_with_audio,
        postprocessing.sort_by_score,
        _CLASSIFICATION_PARAMETERS,
        required_modules=_AUDIO_MODULES,
    ),
    PipelineTask(
        "text-to-speech",
        parse_text,
        generation.synthesize_speech,
        postprocessing.audio_file,
        accepts_generation_parameters=True,
        transformers_task="text-to-audio",
        required_modules=_AUDIO_MODULES,
    ),
    PipelineTask(
        "text-to-audio",
        parse_text,
        generation.synthesize_speech,
        postprocessing.audio_file,
        accepts_generation_parameters=True,
        required_modules=_AUDIO_MODULES,
    ),
    PipelineTask(
        "video-classification",
        parse_video,
        task_calls.call_with_video,
        postprocessing.sort_by_score,
        (*_CLASSIFICATION_PARAMETERS, "num_frames", "frame_sampling_rate"),
        required_modules=("av",),
    ),
    # For these two PipelineModel calls `embeddings`, which knows how the model pools.
    PipelineTask(
        "feature-extraction",
        parse_texts,
        task_calls.call_with_input,
        postprocessing.to_json,
        ("normalize", "truncate", "truncation_direction", "prompt_name"),
    ),
    PipelineTask(
        "sentence-similarity",
        parse_similarity_input,
        task_calls.call_with_input,
        postprocessing.to_json,
        ("truncate",),
        transformers_task="feature-extraction",
    ),
)
TASKS: Mapping[str, PipelineTask[Any]] = {task.name: task for task in _ALL_TASKS}

# What else a pipeline of a task is good for, under the same name.
COMPANION_TASKS = {
    "feature-extraction": ("feature-extraction", "sentence-similarity"),
    "sentence-similarity": ("feature-extraction", "sentence-similarity"),
    "text-generation": ("text-generation", "chat-completion"),
}


def resolve_tasks(task: str) -> tuple[PipelineTask[Any], ...]:
    """Find the tasks that a model is served for.

    Args:
        task: A task under the Inference API's name, or under one of TASK_ALIASES.

    Returns:
        That task, and those that the same pipeline can do too.

    Raises:
        ValueError: The task is not served; the message names those that are.
    """
    name = TASK_ALIASES.get(task, "translation" if _LANGUAGES.fullmatch(task) else task)
    if name not in TASKS:
        raise ValueError(f"{task} is not a task that can be served; these can: {', '.join(sorted(TASKS))}")
    return tuple(TASKS[each] for each in COMPANION_TASKS.get(name, (name,)))


def removal_notice(task: str, version: str) -> str | None:
    """Say why the installed transformers cannot do a task, and what to do.

    Args:
        task: The task, under transformers' name.
        version: The version that is installed.

    Returns:
        The message, or None when it can do the task.
    """
    major = version.partition(".")[0]
    if task not in REMOVED_IN_TRANSFORMERS_5 or not major.isdecimal() or int(major) < 5:
        return None
    return (
        f"{task} left transformers in 5.0, and {version} is installed. Serve this model from an environment of its "
        'own that has transformers 4.57: pip install "transformers>=4.57,<5"'
    )
