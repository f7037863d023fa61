"""Train the linear sentiment head of the local inference server, and measure it.

    pip install "huggingface_api_handler[local]" scikit-learn
    python training/train_sentiment.py [--data DIR]

Data: the human ratings (-4 to 4) of film reviews, product reviews, newspaper editorials and tweets inside
the source distribution of vaderSentiment 3.3.2 (MIT; Hutto and Gilbert, ICWSM 2014). Sentences rated at least
0.8 away from neutral are used, and, to train on at half weight, those between 0.3 and 0.8.
`training/held_out.tsv` is never trained on, nor is any sentence close to one in it.

Features: all-MiniLM-L6-v2 vectors, word 1-2-grams, character 2-5-grams. Model: logistic regression. The weight of
the milder sentences was chosen by cross-validation on the training sentences; the n-grams and the regularisation on
random splits of the same data, made before the held-out list was fixed.
"""

from __future__ import annotations

import argparse
import hashlib
import html
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from huggingface_api_handler.server import weights
from huggingface_api_handler.server.models import linear_head, minilm, ngrams

SOURCE = "vaderSentiment==3.3.2"
SOURCE_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
COLLECTIONS = ("amazonReviewSnippets", "movieReviewSnippets", "nytEditorialSnippets", "tweets")
HELD_OUT = Path(__file__).with_name("held_out.tsv")
HELD_OUT_SIZE = 2000
CLEAR = 0.8
"""Sentences are measured from this distance from neutral, on the scale of -4 to 4."""
MILD = 0.3
"""Milder sentences, down to this distance, are used for training alone."""
MILD_WEIGHT = 0.5
"""Weight of a milder sentence in training. Others weigh 1."""
SEED = 20240229
VECTOR_SCALE = 2.0
INVERSE_REGULARISATION = 4.0
MAX_WORD_GRAMS = 35_000
MAX_CHARACTER_GRAMS = 40_000


class Sentence(NamedTuple):
    """A text and the mean of its human ratings, -4 to 4."""

    text: str
    rating: float

    @property
    def positive(self) -> bool:
        """The label."""
        return self.rating > 0

    @property
    def clear(self) -> bool:
        """Whether the rating is far enough from neutral to be measured."""
        return abs(self.rating) >= CLEAR


def main() -> None:
    """Train the head, measure it and write both. With --choose-held-out write held_out.tsv instead."""
    parser = argparse.ArgumentParser(description="Train and measure the local sentiment head.")
    parser.add_argument("--data", type=Path, help=f"folder with the {SOURCE} sdist; downloaded with pip if not given")
    parser.add_argument("--choose-held-out", action="store_true", help="write held_out.tsv anew and stop")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        everything = sentences(arguments.data or download(Path(scratch)))
    if arguments.choose_held_out:
        write_held_out(choose_held_out(everything))
        return
    held_out = read_held_out()
    training = without_held_out(everything, held_out)
    print(f"{len(everything)} sentences, {len(held_out)} held out, {len(training)} trained on")
    linear_head.write_head(linear_head.HEAD_PATH, train(training))
    # Measured on the file as the server reads it, float16 rounding included.
    accuracy, calibration = measure(linear_head.read_head(linear_head.HEAD_PATH), held_out)
    record = {
        "sha256": weights.file_sha256(linear_head.HEAD_PATH),
        "held_out_accuracy": round(accuracy, 4),
        "held_out_calibration_error": round(calibration, 4),
        "held_out_sentences": len(held_out),
        "training_sentences": len(training),
        "data": f"{SOURCE} sdist, hutto_ICWSM_2014, rated at least {CLEAR} away from neutral",
        "also_trained_on": f"those rated {MILD} to {CLEAR} away from neutral, at weight {MILD_WEIGHT}",
        "data_licence": "MIT",
    }
    linear_head.METADATA_PATH.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=2))
    print(f"{linear_head.HEAD_PATH.name}: {linear_head.HEAD_PATH.stat().st_size} bytes")


def download(folder: Path) -> Path:
    """Download the source distribution with pip into `folder`, and return `folder`."""
    command = [sys.executable, "-m", "pip", "download", SOURCE, "--no-binary", ":all:", "--no-deps"]
    subprocess.run([*command, "--dest", str(folder)], check=True)
    return folder


def sentences(folder: Path) -> list[Sentence]:
    """Read the distinct rated sentences of all collections, in the order of the files.

    Args:
        folder: Where the source distribution is.

    Raises:
        SystemExit: The source distribution is missing or is not the pinned one.
    """
    archives = sorted(folder.glob("vader[Ss]entiment-3.3.2.tar.gz"))
    if not archives:
        raise SystemExit(f"No vaderSentiment-3.3.2.tar.gz in {folder}; leave --data out to download it.")
    if (found := weights.file_sha256(archives[0])) != SOURCE_SHA256:
        raise SystemExit(f"{archives[0].name} has SHA-256 {found}, expected {SOURCE_SHA256}.")
    kept: dict[str, Sentence] = {}
    with tarfile.open(archives[0]) as outer:
        nested = next(name for name in outer.getnames() if name.endswith("hutto_ICWSM_2014.tar.gz"))
        with tarfile.open(fileobj=outer.extractfile(nested)) as inner:
            for collection in COLLECTIONS:
                file = inner.extractfile(f"hutto_ICWSM_2014/{collection}_GroundTruth.txt")
                assert file is not None
                for line in file.read().decode("utf-8").splitlines():
                    _, rating, text = line.split("\t", 2)
                    cleaned = " ".join(html.unescape(text).split())
                    if abs(float(rating)) >= MILD and key(cleaned):
                        kept.setdefault(key(cleaned), Sentence(cleaned, float(rating)))
    return list(kept.values())


def key(text: str) -> str:
    """Letters and digits in lower case. Two sentences with the same key count as one."""
    return re.sub(r"[\W_]+", "", text.lower())


def choose_held_out(everything: list[Sentence]) -> list[Sentence]:
    """The sentences whose key has the lowest SHA-256. This depends neither on their order nor on their labels."""
    clear = [sentence for sentence in everything if sentence.clear]
    ranked = sorted(clear, key=lambda sentence: hashlib.sha256(key(sentence.text).encode()).digest())
    return ranked[:HELD_OUT_SIZE]


def write_held_out(chosen: list[Sentence]) -> None:
    """Write held_out.tsv: one sentence per line, as label, tab, text."""
    lines = [f"{'POSITIVE' if sentence.positive else 'NEGATIVE'}\t{sentence.text}\n" for sentence in chosen]
    HELD_OUT.write_text("".join(lines), encoding="utf-8")
    print(f"{len(lines)} sentences in {HELD_OUT}")


def read_held_out() -> list[Sentence]:
    """Read held_out.tsv. A label becomes a rating of 4 or -4."""
    pairs = (line.split("\t", 1) for line in HELD_OUT.read_text(encoding="utf-8").splitlines())
    return [Sentence(text, 4.0 if label == "POSITIVE" else -4.0) for label, text in pairs]


def without_held_out(everything: list[Sentence], held_out: list[Sentence]) -> list[Sentence]:
    """Leave out every sentence that is equal or nearly equal to a held-out one.

    Two sentences are nearly equal if they share 80 % of all their distinct words. They are so too if they share 90 % of
    the shorter one's words and it has at least six, since it may be a part of the other.
    """
    keys = {key(sentence.text) for sentence in held_out}
    rest = [sentence for sentence in everything if key(sentence.text) not in keys]
    counter = CountVectorizer(binary=True, token_pattern=r"[a-z0-9]+", dtype=np.int32)
    rest_words = counter.fit_transform(sentence.text for sentence in rest)
    held_words = counter.transform(sentence.text for sentence in held_out)
    rest_sizes = np.asarray(rest_words.sum(axis=1)).ravel()
    # Words that only the held-out list has are not in the counter's vocabulary but count for its size.
    held_sizes = np.array([len(set(re.findall(r"[a-z0-9]+", sentence.text.lower()))) for sentence in held_out])
    shared = (rest_words @ held_words.T).tocoo()
    left, right = rest_sizes[shared.row], held_sizes[shared.col]
    shorter = np.minimum(left, right)
    near = shared.data >= 0.8 * (left + right - shared.data)
    near |= (shorter >= 6) & (shared.data >= 0.9 * shorter)
    excluded = set(shared.row[near].tolist())
    return [sentence for position, sentence in enumerate(rest) if position not in excluded]


def train(training: list[Sentence]) -> linear_head.LinearHead:
    """Fit the head; one factor, found by cross-validation, makes its logits calibrated."""
    texts = [sentence.text for sentence in training]
    positive = np.array([sentence.positive for sentence in training])
    words = tfidf(ngrams.word_ngrams, MAX_WORD_GRAMS)
    characters = tfidf(ngrams.character_ngrams, MAX_CHARACTER_GRAMS)
    vectors = minilm.shared_encoder().encode(texts)
    features = hstack(
        [csr_matrix(vectors * VECTOR_SCALE), words.fit_transform(texts), characters.fit_transform(texts)]
    ).tocsr()
    clear = np.array([sentence.clear for sentence in training])
    sharpness = calibration_factor(features, positive, clear)
    model = logistic_regression().fit(features, positive, sample_weight=importance(clear))
    coefficients = model.coef_[0] * sharpness
    first, second = minilm.EMBEDDING_SIZE, minilm.EMBEDDING_SIZE + len(words.vocabulary_)
    return linear_head.LinearHead(
        bias=float(model.intercept_[0] * sharpness),
        vector=(coefficients[:first] * VECTOR_SCALE).astype(np.float32),
        words=grams(words, coefficients[first:second]),
        characters=grams(characters, coefficients[second:]),
    )


def tfidf(analyzer: Any, limit: int) -> TfidfVectorizer:
    """The tf-idf that linear_head.NgramWeights repeats at serving time."""
    return TfidfVectorizer(analyzer=analyzer, sublinear_tf=True, min_df=2, max_features=limit)


def logistic_regression() -> LogisticRegression:
    """Seeded, so that the same data give the same head."""
    return LogisticRegression(C=INVERSE_REGULARISATION, solver="liblinear", max_iter=1000, random_state=SEED)


def importance(clear: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The weight of each sentence. Milder ones weigh less, since their sign is less certain."""
    return np.where(clear, 1.0, MILD_WEIGHT)


def calibration_factor(features: csr_matrix, positive: npt.NDArray[np.bool_], clear: npt.NDArray[np.bool_]) -> float:
    """The factor on the logits that is best for clear sentences not trained on (Platt scaling without offset)."""
    logits = np.zeros(len(positive))
    folds = StratifiedKFold(n_splits=5, shuffle=True, random_state=SEED)
    for fitted, judged in folds.split(features, positive):
        weight = importance(clear[fitted])
        model = logistic_regression().fit(features[fitted], positive[fitted], sample_weight=weight)
        logits[judged] = model.decision_function(features[judged])
    print(f"cross-validated accuracy {np.mean((logits > 0)[clear] == positive[clear]):.4f}")
    scale = LogisticRegression(fit_intercept=False, C=1e6).fit(logits[clear, None], positive[clear])
    return float(scale.coef_[0, 0])


def grams(vectorizer: TfidfVectorizer, coefficients: npt.NDArray[np.float64]) -> linear_head.NgramWeights:
    """Pair each n-gram with its idf and its coefficient."""
    names = vectorizer.get_feature_names_out().tolist()
    factors = zip(vectorizer.idf_.tolist(), coefficients.tolist(), strict=True)
    return linear_head.NgramWeights(dict(zip(names, factors, strict=True)))


def measure(head: linear_head.LinearHead, held_out: Sequence[Sentence]) -> tuple[float, float]:
    """Accuracy, and expected calibration error over ten bins of the positive score."""
    texts = [sentence.text for sentence in held_out]
    logits = np.array(head.log_odds(texts, minilm.shared_encoder().encode(texts)))
    positive = np.array([sentence.positive for sentence in held_out])
    scores = 1 / (1 + np.exp(-logits))
    bins = np.minimum((scores * 10).astype(int), 9)
    error = sum(
        abs(scores[bins == number].mean() - positive[bins == number].mean()) * np.mean(bins == number)
        for number in set(bins.tolist())
    )
    return float(np.mean((logits > 0) == positive)), float(error)


if __name__ == "__main__":
    main()
