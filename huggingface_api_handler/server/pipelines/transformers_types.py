"""The parts of transformers, torch and Pillow that this folder uses, as types; it imports none of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, Protocol


class Tensor(Protocol):
    """`torch.Tensor`."""

    @property
    def shape(self) -> Sequence[int]:
        """Length of each axis."""

    @property
    def device(self) -> object:
        """Where its numbers lie."""

    def __getitem__(self, index: int | slice, /) -> Tensor:
        """Take a part.

        Args:
            index: Positions on the first axis.

        Returns:
            The part.
        """

    def __iter__(self) -> Iterator[Tensor]:
        """Iterate over the first axis."""

    def float(self) -> Tensor:
        """Convert the numbers.

        Returns:
            A tensor of float32 of the same shape.
        """


class Tokenizer(Protocol):
    """A tokenizer of transformers."""

    model_input_names: list[str]
    truncation_side: str

    @property
    def model_max_length(self) -> int:
        """Most tokens of a text; 10^30 where there is no limit."""

    @property
    def eos_token_id(self) -> int | list[int] | None:
        """Id of the token that ends a text."""

    def __call__(self, text: str, text_pair: str | None = None, /) -> Mapping[str, Sequence[int]]:
        """Turn a text into tokens.

        Args:
            text: The text.
            text_pair: A text that the model reads after it.

        Returns:
            `input_ids`, special tokens included, and others.
        """

    def decode(self, token_ids: Tensor | Sequence[int], *, skip_special_tokens: bool) -> str:
        """Turn tokens into text.

        Args:
            token_ids: The tokens.
            skip_special_tokens: Leave out those that are no text.

        Returns:
            The text.
        """

    def apply_chat_template(
        self,
        conversation: Sequence[Mapping[str, str]],
        *,
        add_generation_prompt: bool,
        return_dict: bool,
        return_tensors: str,
    ) -> Mapping[str, Tensor]:
        """Turn a conversation into the tokens of a prompt.

        Args:
            conversation: Messages with `role` and `content`.
            add_generation_prompt: End with the start of an answer.
            return_dict: Return tensors by name.
            return_tensors: `pt` for torch's.

        Returns:
            `input_ids` of shape (1, tokens), and others.
        """


class FeatureExtractor(Protocol):
    """What prepares audio for a model."""

    @property
    def sampling_rate(self) -> int:
        """Samples a second that the model was trained with."""


class ModelConfig(Protocol):
    """A model's config.json."""

    @property
    def model_type(self) -> str:
        """Its architecture, such as `clip`."""


class PretrainedModel(Protocol):
    """The model of a pipeline."""

    @property
    def config(self) -> ModelConfig:
        """Its configuration."""

    @property
    def generation_config(self) -> object:
        """How it generates; it may have `eos_token_id`."""


class Pipeline(Protocol):
    """A pipeline of transformers; each kind has only those attributes that its models need."""

    @property
    def type(self) -> object:
        """Kind of a speech recognition pipeline, such as `ctc`."""

    @property
    def model(self) -> PretrainedModel:
        """The model."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of a pipeline that reads or writes text."""

    @property
    def feature_extractor(self) -> FeatureExtractor:
        """What prepares audio, in a pipeline that takes it."""

    def __call__(self, *inputs: object, **parameters: object) -> Any:
        """Run the pipeline.

        Args:
            inputs: One input.
            parameters: Its parameters.

        Returns:
            What the pipeline's task says.
        """


class PILImage(Protocol):
    """`PIL.Image.Image`."""

    def save(self, file: IO[bytes], format: str) -> None:
        """Write an image file.

        Args:
            file: An open file.
            format: Its format, such as `PNG`.
        """

    def getbands(self) -> tuple[str, ...]:
        """Name the channels.

        Returns:
            Such as `("R", "G", "B")`.
        """
