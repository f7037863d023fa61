"""Windows are as full as may be, end where a reader would end them, and lose nothing."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from itertools import accumulate, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from huggingface_api_handler.tasks.text_boundaries import grapheme_ends, sentence_ends
from huggingface_api_handler.tasks.text_windows import estimate_tokens, windows

CLUSTERS = {
    "letter": "a",
    "combining mark": "e\u0301",
    "several marks": "o\u0302\u0323",
    "variation selector": "❤\ufe0f",
    "skin tone": "👍🏽",
    "joined people": "👩🏽\u200d💻",
    "family": "👨\u200d👩\u200d👧",
    "flag": "🇩🇪",
    "flag of England": "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "keycap": "1\ufe0f\u20e3",
    "Korean letters": "\u1112\u1161\u11ab",
    "Korean syllable and an end": "\uac00\u11a8",
    "Indic consonants": "क\u094dष\u093f",
    "Thai vowels": "ท\u0e35\u0e48",
    "Thai am": "น\u0e33",
    "surrogates": "\ud83d\ude00",
    "Chinese": "漢",
    "voiced kana": "か\u3099",
    "halfwidth": "ｶ\uff9e",
}
PIECES = [
    *CLUSTERS.values(),
    *(
        "word ",
        "Another one. ",
        "e.g. this ",
        "Stop! ",
        "\n",
        "\n\n",
        "\r\n",
        "  ",
        "\u00a0",
        "。",
        "「何？」",
        "...",
        "!",
        "a" * 40,
        "x\u0301 \u0301y ",
    ),
]

texts = st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.text(max_size=60)
limits = st.sampled_from([-1, 0, 0.5, 1, 2, 3, 5, 8, 13, 40, 1000, float("inf")])
counts: list[Callable[[str], float]] = [
    len,
    estimate_tokens,
    lambda text: len(text.split()),
    lambda text: len(text.encode("utf-8", "replace")),
]
counters = st.sampled_from(counts)
overlaps = st.sampled_from([0, 1, 2, 4, 20])


def words(text: str) -> int:
    return len(text.split())


@example("x\u0301 \u0301y a", 2, words, 1, 0, None)
@given(texts, limits, counters, overlaps, overlaps, st.tuples(st.integers(0, 80), st.integers(0, 80)) | st.none())
def test_nothing_is_lost_whatever_the_text_and_its_limit(
    text: str,
    most: float,
    count: Callable[[str], float],
    overlap_in_sentences: float,
    overlap: float,
    within: tuple[int, int] | None,
) -> None:
    found = windows(text, most, count, within=within, overlap_in_sentences=overlap_in_sentences, overlap=overlap)

    start, end = within or (0, len(text))
    read: set[int] = set()
    for begin, stop in found:
        part = text[begin:stop]
        begins_with_mark = unicodedata.combining(part[1:2] or " ") > 0  # of a blank, which is then a character
        assert part and part.rstrip() == part and (part.lstrip() == part or begins_with_mark), "or it has blanks around"
        assert start <= begin and stop <= end
        assert count(part) <= most or len(grapheme_ends(text, begin, stop)) == 1, "only one character may have more"
        read.update(range(begin, stop))
    assert not "".join(text[place] for place in range(start, min(end, len(text))) if place not in read).strip()
    assert all(before[0] < after[0] and before[1] < after[1] for before, after in pairwise(found)), "each gets further"
    again = windows(text, most, count, within=within, overlap_in_sentences=overlap_in_sentences, overlap=overlap)
    assert found == again


@given(texts, limits, counters)
def test_windows_without_overlap_and_the_blanks_between_them_are_the_text(
    text: str, most: float, count: Callable[[str], float]
) -> None:
    found = windows(text, most, count)

    edges = [0, *(edge for window in found for edge in window), len(text)]
    assert edges == sorted(edges)
    assert "".join(text[a:b] for a, b in pairwise(edges)) == text
    assert not "".join(text[a:b] for a, b in list(pairwise(edges))[::2]).strip()


@given(st.lists(st.sampled_from([*CLUSTERS.values(), " "]), max_size=40), limits, overlaps)
def test_no_character_is_cut_as_people_see_it(clusters: list[str], most: float, overlap: float) -> None:
    edges = {0, *accumulate(map(len, clusters))}

    found = windows("".join(clusters), most, len, overlap_in_sentences=overlap, overlap=overlap)

    assert {edge for window in found for edge in window} <= edges


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS.keys())
def test_a_character_as_people_see_it_is_one(cluster: str) -> None:
    assert list(grapheme_ends(cluster * 3, 0, 3 * len(cluster))) == [n * len(cluster) for n in (1, 2, 3)]


def test_a_mark_stays_on_the_blank_that_it_is_set_upon() -> None:
    text = "ab \u0301cd ef. \u0301gh"
    assert [text[a:b] for a, b in windows(text, 6, len)] == ["ab \u0301cd", "ef. \u0301g", "h"]


sentences = st.lists(
    st.lists(st.sampled_from(["Lorem", "ipsum", "dolor", "sit"]), min_size=1, max_size=8).map(
        lambda s: " ".join(s).capitalize() + "."
    ),
    min_size=1,
    max_size=20,
)


@given(sentences, st.integers(8, 30))
def test_windows_end_at_sentences_and_hold_as_many_as_fit(sentences: list[str], most: float) -> None:
    text = " ".join(sentences)

    parts = [text[begin:end] for begin, end in windows(text, most, words)]

    assert " ".join(parts) == text
    assert all(part.endswith(".") for part in parts)
    for part, following in pairwise(parts):
        assert words(part + " " + following[: following.index(".") + 1]) > most


@given(sentences, st.integers(2, 7), st.integers(0, 3))
def test_a_sentence_that_is_too_long_is_cut_between_words_and_only_that(
    sentences: list[str], most: float, overlap: float
) -> None:
    text = " ".join(sentences)
    ends = sentence_ends(text, 0, len(text))

    found = windows(text, most, words, overlap_in_sentences=overlap)

    for begin, end in found:
        assert (begin == 0 or text[begin - 1] == " ") and (end == len(text) or text[end] == " ")
        if end not in ends:
            assert words(text[begin:end]) == most
            rest = min(place for place in ends if place > end)
            assert words(text[begin:rest]) > most
            assert not any(begin < place < end for place in ends), "what was a whole sentence is no part of the window"


@given(sentences, st.integers(8, 30), st.integers(1, 12))
def test_a_window_repeats_whole_sentences_where_they_fit(sentences: list[str], most: float, overlap: float) -> None:
    text = " ".join(sentences)

    found = windows(text, most, words, overlap=overlap)

    for (_, end), (begin, _) in pairwise(found):
        assert words(text[begin:end]) <= overlap
        last_sentence = text[:end].rstrip(".").rfind(".") + 1
        room = min(overlap, most // 2, most - words(text[end : text.index(".", end) + 1]))
        assert words(text[begin:end]) == room or text[:begin].rstrip().endswith("."), (
            "in a sentence only if it is too long"
        )
        assert room < words(text[last_sentence:end]) or begin < end
    assert all(text[:end].endswith(".") for _, end in found), "repeating tears no sentence that would fit"


def test_a_long_sentence_is_repeated_from_a_word_on() -> None:
    text = " ".join(f"w{n}" for n in range(10))
    assert [text[a:b] for a, b in windows(text, 4, words, overlap_in_sentences=2)] == [
        "w0 w1 w2 w3",
        "w2 w3 w4 w5",
        "w4 w5 w6 w7",
        "w6 w7 w8 w9",
    ]


def test_a_text_without_blanks_is_repeated_too() -> None:
    assert windows("漢" * 10, 4, len, overlap_in_sentences=1) == [(0, 4), (3, 7), (6, 10)]


def test_no_more_is_repeated_than_half_a_window() -> None:
    assert windows("漢" * 8, 4, len, overlap_in_sentences=4) == [(0, 4), (2, 6), (4, 8)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two! Three? Four… Five", ["One.", "Two!", "Three?", "Four…", "Five"]),
        ('He said "No." Then (he left.) So', ['He said "No."', "Then (he left.)", "So"]),
        ("Dr. Who met J. Smith, e.g. at St. Pauls. Then", ["Dr. Who met J. Smith, e.g. at St. Pauls.", "Then"]),
        ("Pi is 3.14 or so. See v1.2 of it", ["Pi is 3.14 or so.", "See v1.2 of it"]),
        ("No sentence ends... here. Yes", ["No sentence ends... here.", "Yes"]),
        ("A title\nA paragraph that\nis wrapped.\n\nand a list", ["A title", "A paragraph that\nis wrapped.", "and a list"]),
        ("私は猫。名前は？「まだ。」ない！そう", ["私は猫。", "名前は？", "「まだ。」", "ない！", "そう"]),
        ("यह एक है। वह दो है। तीन", ["यह एक है।", "वह दो है।", "तीन"]),
        ("Это да. Это нет. и так", ["Это да.", "Это нет. и так"]),
        ("  one blank. \r\n\r\n Two  ", ["one blank.", "Two"]),
    ],
)  # fmt: skip
def test_sentences_end_where_a_reader_ends_them(text: str, parts: list[str]) -> None:
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())
    edges = [start, *sentence_ends(text, start, end)]
    assert [text[a:b].strip() for a, b in pairwise(edges)] == parts


def test_only_the_part_that_is_asked_for_is_cut() -> None:
    text = "One two. Three four. Five six."
    assert [text[a:b] for a, b in windows(text, 2, words, within=(4, 20))] == ["two.", "Three four."]
    assert windows(text, 2, words, within=(8, 9)) == []


LONG = {
    "prose": "The film is good, and so is Mr. Smith in it. Its end is not! " * 50,
    "one sentence": "word " * 1_000,
    "one word": "a" * 4_000,
    "one Chinese word": "漢" * 4_000,
    "flags": "🇩🇪" * 1_600,
    "short sentences": "A! " * 1_200,
    "marks": "!" * 4_000,
    "blanks": "a" + " " * 4_000 + "b. " * 400,
    "first sparse, then dense": "w" * 200 + " " + "a" * 10 + ("b" * 300 + " ") * 10 + "c d e f g h. " * 300,
    "one character": "👨\u200d" * 1_600,
}  # fmt: skip


@pytest.mark.parametrize("overlap", [0, 8])
@pytest.mark.parametrize("count", [words, len, estimate_tokens])
@pytest.mark.parametrize("text", LONG.values(), ids=LONG.keys())
def test_few_times_as_many_characters_are_counted_as_the_text_has(
    text: str, count: Callable[[str], float], overlap: float
) -> None:
    counted = 0

    def counting(part: str) -> float:
        nonlocal counted
        counted += len(part)
        tokens: float = count(part)
        return tokens

    windows(text, 30, counting, overlap=overlap, overlap_in_sentences=overlap)

    assert counted <= 16 * len(text)


@pytest.mark.parametrize(
    ("paragraphs", "sentences"),
    [
        ([6, 5], [6, 5]),
        ([6, 9], [8, 7]),  # else they would be three
        ([2, 9], [8, 3]),  # such a window would hold too little
        ([8, 8, 5, 6], [8, 8, 5, 6]),
        ([6, 6, 6, 6], [6, 6, 6, 6]),
        ([6, 6, 6, 6, 6, 6], [8, 8, 8, 6, 6]),  # the end is too far to be counted each time
    ],
)
def test_the_last_windows_end_with_a_paragraph_where_that_makes_no_more(
    paragraphs: list[int], sentences: list[int]
) -> None:
    text = "\n\n".join(" ".join(["One more."] * count) for count in paragraphs)
    found = [text[start:end].count("One more.") for start, end in windows(text, 16, lambda part: len(part.split()))]
    assert found == sentences
    with_overlap = windows(text, 16, lambda part: len(part.split()), overlap_in_sentences=2)
    assert text[slice(*with_overlap[0])].count("One more.") == 8
