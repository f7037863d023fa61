"""Tiny models from configurations. Their weights are random: they prove the wiring, never the quality of an answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<s>", "</s>"]
_TEXT = """
a the cat dog sat on mat is was good bad happy person sunny day capital of france paris what how many stars
repository transformers datasets this example animal car red blue text about hello world legal refund user
assistant system : . , ? ! 1 2 3 36542 4512 total due us-001 invoice number
"""
VOCABULARY = [*SPECIAL, *_TEXT.split()]
LABELS = {
    "id2label": {0: "NEGATIVE", 1: "NEUTRAL", 2: "POSITIVE"},
    "label2id": {"NEGATIVE": 0, "NEUTRAL": 1, "POSITIVE": 2},
}
TEXT: dict[str, Any] = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 64,
}
IMAGE: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "image_size": 32,
    "patch_size": 16,
}
CHAT = "{% for m in messages %}{{ m.role + ' : ' + m.content + ' ' }}{% endfor %}{% if add_generation_prompt %}assistant :{% endif %}"


def tokenizer(folder: Path, chat_template: str | None = None, pairs: bool = True, **more: Any) -> None:
    core = Tokenizer(models.WordLevel({word: index for index, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.decoder = decoders.WordPiece(prefix="##")
    if pairs:
        core.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    made = hf.PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", bos_token="<s>", eos_token="</s>", model_max_length=64, **more,
    )  # fmt: skip
    made.chat_template = chat_template
    made.save_pretrained(folder)


def encoder(kind: str, **config: Any) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        getattr(hf, kind)(hf.BertConfig(**TEXT, **config)).save_pretrained(folder)
        tokenizer(folder)

    return build


def sentence_encoder(folder: Path) -> None:
    encoder("BertModel")(folder)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    listed = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 8}))
    (folder / "1_Pooling").mkdir()
    (folder / "2_Normalize").mkdir()
    pooling = {"word_embedding_dimension": 16, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling))


def entailment(folder: Path) -> None:
    encoder("BertForSequenceClassification", id2label={0: "contradiction", 1: "neutral", 2: "entailment"},
            label2id={"contradiction": 0, "neutral": 1, "entailment": 2})(folder)  # fmt: skip


def generator(chat_template: str | None) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        config = hf.GPT2Config(
            vocab_size=len(VOCABULARY), n_embd=16, n_layer=1, n_head=2, n_positions=128, bos_token_id=5, eos_token_id=6,
            pad_token_id=0,
        )  # fmt: skip
        hf.GPT2LMHeadModel(config).save_pretrained(folder)
        tokenizer(folder, chat_template, pairs=False)

    return build


def seq2seq(folder: Path) -> None:
    config = hf.T5Config(
        vocab_size=len(VOCABULARY), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0,
        pad_token_id=0, eos_token_id=6,
    )  # fmt: skip
    hf.T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer(folder)


def table_reader(folder: Path) -> None:
    config = hf.TapasConfig(**TEXT, num_aggregation_labels=4, aggregation_labels={0: "NONE", 1: "SUM", 2: "AVERAGE", 3: "COUNT"},
                            type_vocab_sizes=[3, 16, 16, 2, 16, 16, 4])  # fmt: skip
    hf.TapasForQuestionAnswering(config).save_pretrained(folder)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join([*VOCABULARY, "[EMPTY]", *(f"##{letter}" for letter in "abc")]))
    # Words that are not in the vocabulary become [UNK], as everywhere in these models.
    hf.TapasTokenizer(str(vocabulary), model_max_length=64, drop_rows_to_fit=True).save_pretrained(folder)


def document_reader(folder: Path) -> None:
    hf.LayoutLMForQuestionAnswering(hf.LayoutLMConfig(**TEXT)).save_pretrained(folder)
    tokenizer(folder)


def picture_answerer(folder: Path) -> None:
    config = hf.ViltConfig(**{**TEXT, **IMAGE}, max_image_length=-1, num_labels=3, id2label={0: "1", 1: "2", 2: "3"},
                           label2id={"1": 0, "2": 1, "3": 2})  # fmt: skip
    hf.ViltForQuestionAnswering(config).save_pretrained(folder)
    tokenizer(folder)
    hf.ViltImageProcessor(size={"shortest_edge": 32}, size_divisor=16).save_pretrained(folder)


def image_classifier(folder: Path) -> None:
    hf.ViTForImageClassification(hf.ViTConfig(**IMAGE, **LABELS)).save_pretrained(folder)
    image_processor(folder)


def image_processor(folder: Path) -> None:
    hf.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)


def image_matcher(folder: Path) -> None:
    config = hf.CLIPConfig(
        text_config={**TEXT, "bos_token_id": 2, "eos_token_id": 3}, vision_config=IMAGE, projection_dim=8
    )
    hf.CLIPModel(config).save_pretrained(folder)
    tokenizer(folder, model_input_names=["input_ids", "attention_mask"])  # as CLIP's own: its model takes no others
    hf.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)


def detector(folder: Path) -> None:
    config = hf.YolosConfig(**{**IMAGE, "image_size": [32, 32]}, num_detection_tokens=4, **LABELS)
    hf.YolosForObjectDetection(config).save_pretrained(folder)
    hf.YolosImageProcessor(size={"height": 32, "width": 32}, do_pad=False).save_pretrained(folder)


def named_detector(folder: Path) -> None:
    config = hf.OwlViTConfig(
        text_config={**TEXT, "bos_token_id": 2, "eos_token_id": 3}, vision_config=IMAGE, projection_dim=16
    )
    hf.OwlViTForObjectDetection(config).save_pretrained(folder)
    tokenizer(folder)
    hf.OwlViTImageProcessor(size={"height": 32, "width": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(
        folder
    )


def segmenter(folder: Path) -> None:
    config = hf.SegformerConfig(
        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[8, 16], patch_sizes=[7, 3], strides=[4, 2],
        num_attention_heads=[1, 2], mlp_ratios=[2, 2], decoder_hidden_size=16, **LABELS,
    )  # fmt: skip
    hf.SegformerForSemanticSegmentation(config).save_pretrained(folder)
    hf.SegformerImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)


def depth_estimator(folder: Path) -> None:
    config = hf.GLPNConfig(
        num_encoder_blocks=4, depths=[1] * 4, sr_ratios=[2, 2, 1, 1], hidden_sizes=[8, 8, 16, 16], num_attention_heads=[1, 1, 2, 2],
        mlp_ratios=[2] * 4, decoder_hidden_size=8,
    )  # fmt: skip
    hf.GLPNForDepthEstimation(config).save_pretrained(folder)
    hf.GLPNImageProcessor().save_pretrained(folder)


def describer(folder: Path) -> None:
    decoder = hf.GPT2Config(
        vocab_size=len(VOCABULARY), n_embd=16, n_layer=1, n_head=2, n_positions=512, add_cross_attention=True,
        bos_token_id=5, eos_token_id=6, pad_token_id=0,
    )  # fmt: skip
    config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(hf.ViTConfig(**IMAGE), decoder)
    config.decoder_start_token_id, config.pad_token_id = 5, 0
    model = hf.VisionEncoderDecoderModel(config)
    model.generation_config.update(decoder_start_token_id=5, pad_token_id=0, eos_token_id=6)
    model.save_pretrained(folder)
    tokenizer(folder)
    image_processor(folder)


AUDIO: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "conv_dim": [16, 16], "conv_stride": [10, 16],
    "conv_kernel": [10, 16], "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "num_feat_extract_layers": 2,
}  # fmt: skip


def listener(folder: Path) -> None:
    letters = folder / "vocab.json"
    letters.write_text(
        json.dumps({token: index for index, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGH"])})
    )
    hf.Wav2Vec2ForCTC(hf.Wav2Vec2Config(**AUDIO, vocab_size=13, pad_token_id=0)).save_pretrained(folder)
    hf.Wav2Vec2CTCTokenizer(str(letters)).save_pretrained(folder)
    hf.Wav2Vec2FeatureExtractor().save_pretrained(folder)


def sound_classifier(folder: Path) -> None:
    hf.Wav2Vec2ForSequenceClassification(hf.Wav2Vec2Config(**AUDIO, **LABELS)).save_pretrained(folder)
    hf.Wav2Vec2FeatureExtractor().save_pretrained(folder)


def speaker(folder: Path) -> None:
    letters = folder / "vocab.json"
    letters.write_text(json.dumps({letter: index for index, letter in enumerate(" abcdefghijklmnopqrstuvwxyz")}))
    config = hf.VitsConfig(
        vocab_size=27, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, ffn_dim=16, flow_size=16,
        prior_encoder_num_flows=1, prior_encoder_num_wavenet_layers=1, posterior_encoder_num_wavenet_layers=1,
        duration_predictor_num_flows=1, duration_predictor_filter_channels=16, spectrogram_bins=9,
        upsample_initial_channel=16, upsample_rates=[8, 8], upsample_kernel_sizes=[16, 16],
        resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]], depth_separable_num_layers=1,
    )  # fmt: skip
    hf.VitsModel(config).save_pretrained(folder)
    hf.VitsTokenizer(str(letters), phonemize=False, pad_token=" ", unk_token=" ").save_pretrained(folder)


def video_classifier(folder: Path) -> None:
    config = hf.VideoMAEConfig(**IMAGE, num_frames=4, tubelet_size=2, **LABELS)
    hf.VideoMAEForVideoClassification(config).save_pretrained(folder)
    hf.VideoMAEImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)


# Name under which a model is served, the task it is asked for, and its builder.
MODELS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "classes": ("text-classification", encoder("BertForSequenceClassification", **LABELS)),
    "entities": ("token-classification", encoder("BertForTokenClassification", id2label={0: "B-PER", 1: "B-LOC"}, label2id={"B-PER": 0, "B-LOC": 1})),
    "reader": ("question-answering", encoder("BertForQuestionAnswering")),
    "mask": ("fill-mask", encoder("BertForMaskedLM")),
    "tokens": ("feature-extraction", encoder("BertModel")),
    "sentences": ("feature-extraction", sentence_encoder),
    "entailment": ("zero-shot-classification", entailment),
    "summary": ("summarization", seq2seq),
    "translated": ("translation", seq2seq),
    "rewritten": ("text2text-generation", seq2seq),
    "writer": ("text-generation", generator(None)),
    "chatter": ("text-generation", generator(CHAT)),
    "table": ("table-question-answering", table_reader),
    "document": ("document-question-answering", document_reader),
    "vqa": ("visual-question-answering", picture_answerer),
    "picture": ("image-classification", image_classifier),
    "match": ("zero-shot-image-classification", image_matcher),
    "boxes": ("object-detection", detector),
    "named-boxes": ("zero-shot-object-detection", named_detector),
    "segments": ("image-segmentation", segmenter),
    "depth": ("depth-estimation", depth_estimator),
    "described": ("image-to-text", describer),
    "heard": ("automatic-speech-recognition", listener),
    "sound": ("audio-classification", sound_classifier),
    "spoken": ("text-to-speech", speaker),
    "video": ("video-classification", video_classifier),
}  # fmt: skip


def build(folder: Path) -> None:
    """Every model, each in a folder of its name."""
    torch.manual_seed(0)
    for name, (_, make) in MODELS.items():
        (folder / name).mkdir(parents=True)
        make(folder / name)
