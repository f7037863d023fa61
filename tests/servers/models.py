"""``python -m tests.servers.models FOLDER NAME ...``: tiny models for servers, made with the transformers that will load them.

Their weights are random, and wide: other texts get clearly other answers, so that an answer in another row's place shows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import transformers as hf

from tests.transformers import tiny

WIDTH = 0.7
"""Standard deviation of weights."""

LABELS = {"id2label": dict(enumerate("ABCDEFGH")), "label2id": {label: index for index, label in enumerate("ABCDEFGH")}}


def ranker(folder: Path) -> None:
    """A cross encoder: one score for a pair of texts."""
    tiny.encoder("BertForSequenceClassification", num_labels=1)(folder)


def entities(folder: Path) -> None:
    """Names in a text."""
    names = dict(enumerate(["O", "B-PER", "B-LOC", "B-ORG"]))
    tiny.encoder("BertForTokenClassification", id2label=names, label2id={name: index for index, name in names.items()})(
        folder
    )


def speaker(folder: Path) -> None:
    """A voice that says the same text in the same way every time."""
    tiny.speaker(folder)
    file = folder / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "noise_scale": 0.0, "noise_scale_duration": 0.0}))


def transcriber(folder: Path) -> None:
    """A Whisper that writes letters."""
    marks = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|translate|>", "<|notimestamps|>"]
    letters = {letter: index for index, letter in enumerate([*map(chr, range(97, 123)), "\u0120"])}
    end, start = marks[:2]
    words = hf.WhisperTokenizer(vocab=letters, merges=[], unk_token=end, bos_token=end, eos_token=end)
    words.add_special_tokens({"additional_special_tokens": marks[1:]})
    number = {mark: words.convert_tokens_to_ids(mark) for mark in marks}
    ends = {"pad_token_id": number[end], "eos_token_id": number[end], "decoder_start_token_id": number[start],
            "suppress_tokens": None, "begin_suppress_tokens": None}  # fmt: skip
    model = hf.WhisperForConditionalGeneration(hf.WhisperConfig(
        vocab_size=len(words), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=16, decoder_ffn_dim=16, max_target_positions=32, bos_token_id=number[end], init_std=0.7, **ends,
    ))  # fmt: skip
    model.generation_config.update(
        max_length=12, is_multilingual=False, no_timestamps_token_id=number[marks[-1]], return_timestamps=False, **ends
    )
    model.save_pretrained(folder)
    hf.WhisperProcessor(hf.WhisperFeatureExtractor(feature_size=80), words).save_pretrained(folder)


def painter(folder: Path) -> None:
    """A Stable Diffusion that paints 32 x 32 pixels."""
    from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    tiny.tokenizer(folder / "words")
    words = hf.AutoTokenizer.from_pretrained(folder / "words")
    words.model_max_length = 16
    text = hf.CLIPTextModel(
        hf.CLIPTextConfig(**{**tiny.TEXT, "max_position_embeddings": 16, "bos_token_id": 2, "eos_token_id": 3})
    )
    unet = UNet2DConditionModel(
        sample_size=16, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, cross_attention_dim=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=2,
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(8, 16), norm_num_groups=4, latent_channels=4, sample_size=32,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=words, unet=unet, scheduler=PNDMScheduler(skip_prk_steps=True),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip


def widened(kind: str, build: Callable[[Path], None]) -> Callable[[Path], None]:
    """The model of a builder whose configuration has no such width, with larger weights."""

    def wide(folder: Path) -> None:
        build(folder)
        model = getattr(hf, kind).from_pretrained(folder)
        with torch.no_grad():
            for weights in model.parameters():
                if weights.dim() > 1:
                    weights.normal_(0, WIDTH)
        model.save_pretrained(folder)

    return wide


MODELS: dict[str, Callable[[Path], None]] = {
    **{name: build for name, (_, build) in tiny.MODELS.items()},
    "chatter": widened("GPT2LMHeadModel", tiny.generator(tiny.CHAT)),
    "writer": widened("GPT2LMHeadModel", tiny.generator(None)),
    "summary": widened("T5ForConditionalGeneration", tiny.seq2seq),
    "translated": widened("T5ForConditionalGeneration", tiny.seq2seq),
    "classes": tiny.encoder("BertForSequenceClassification", **LABELS),
    "entities": entities,
    "ranks": ranker,
    "spoken": speaker,
    "painted": painter,
    "transcribed": transcriber,
}


def main(folder: Path, names: list[str]) -> None:
    """Make the models that are not there, each in a folder of its name."""
    for shared in (tiny.TEXT, tiny.IMAGE, tiny.AUDIO):
        shared["initializer_range"] = WIDTH
    torch.manual_seed(0)
    for name in names:
        if not (folder / name).exists():
            (folder / name).mkdir(parents=True)
            MODELS[name](folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
