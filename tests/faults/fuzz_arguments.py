"""Any arguments and cells: no exception but InputError and InferenceError, in bounded sentences that hold no key.

``python -m tests.faults.fuzz_arguments SECONDS [results.json]``. The statements are those a person writes: CREATE ML_ENGINE, CREATE
MODEL, SELECT ... USING, and the cells of a table. The service is a function in this process that takes the place of
``transport.post``; what failed is kept in ``.hypothesis`` and tried first the next time.
"""

from __future__ import annotations

import json
import os
import string
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.faults.clock import real, skip_waits

if __name__ == "__main__":
    skip_waits()

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir
from multidict import CIMultiDict

from huggingface_api_handler.config.normalize import KEY_NAMES
from huggingface_api_handler.config.settings import EngineSettings, ModelSettings
from huggingface_api_handler.config.validation import engine_settings, merge_select_overrides, model_settings
from huggingface_api_handler.errors import HuggingFaceAPIError, InferenceError, InputError
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.runtime.session import default_session
from huggingface_api_handler.inference.transport import client
from huggingface_api_handler.tasks import ALIASES, TASKS, parameters_of
from tests.faults.fuzz_answers import JUNK, frame_of, often

LONGEST_SENTENCE = 2500
LEAST = 100
"""Times that each statement is tried at least, so that a busy machine tries as much as ``test_fuzz`` asks for."""
SECRET = "hf_Fuzzed" + "S3cret" * 5
executions: Counter[str] = Counter()
outcomes: Counter[str] = Counter()

ENGINE_NAMES = sorted({*EngineSettings.model_fields, *KEY_NAMES})
COLUMN_ARGUMENTS = {column.argument for task in TASKS.values() for column in task.columns}
MODEL_NAMES = sorted({*ModelSettings.model_fields, *COLUMN_ARGUMENTS, "candidate_labels", "engine", "batch_size", "threads",
                      "input_column", "model_name", "lang_input", "maxLength", "max_output_length"})  # fmt: skip
PARAMETERS = sorted({name for task in TASKS.values() for name in parameters_of(task)})
WORDS = [*sorted(TASKS), *sorted(ALIASES), "text", "c0", "m", "owner/model", "https://h.example/models", "http://127.0.0.1:9/models", "auto", "hf-inference",
         "true", "null", "0", "-1", "1e999", "nan", "a,b", '["a", "b"]', '{"a": "str"}', '{"top_k": 2}', "[", '{"a":', "{{text}}", "{{ x.__class__ }}", "{{",
         f"Bearer {SECRET}", f"https://me:{SECRET}@h", "a\x00b", "a\nb", "\ud800", " ", "", "../..", "/etc/passwd", "file:///etc/passwd", "%s{0}"]  # fmt: skip
VALUES: st.SearchStrategy[Any] = (
    st.sampled_from(WORDS)
    | st.text(max_size=20)
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.booleans()
    | JUNK
    | st.dictionaries(st.sampled_from([*PARAMETERS, *KEY_NAMES, "wait_for_model", "use_cache", "a"]), JUNK, max_size=3)
    | st.lists(st.sampled_from(WORDS), max_size=3)
    | st.sampled_from([b"\xff\x00", object(), {1}, pd.NA, pd.Timestamp("2020-01-01"), float, ["a"] * 3000, "x" * 100_000, {"a": {"b": [{"c": SECRET}]}}])
)  # fmt: skip
ODD_NAMES = st.text(string.printable, max_size=12) | st.sampled_from(["", "\x00", "\ud800", "x" * 5000, SECRET, "token ", "API_KEY", "__class__"])  # fmt: skip


def clauses(names: list[str]) -> st.SearchStrategy[dict[Any, Any]]:
    """USING clauses: mostly of known names, sometimes of others, or of what is no name."""
    name = st.sampled_from(names) | st.sampled_from(names) | st.sampled_from(names) | ODD_NAMES
    return st.dictionaries(name, VALUES, max_size=4)


def outcome_of(run: Any) -> Any:
    """What ``run()`` returns; the sentence of an error that is for the person. All else is a fault."""
    try:
        return run()
    except (InputError, InferenceError) as error:
        sentence = str(error)
        sentence.encode()
        assert 10 < len(sentence) <= LONGEST_SENTENCE, len(sentence)
        assert SECRET not in sentence and "\x00" not in sentence
        return error
    except HuggingFaceAPIError as error:
        raise AssertionError(f"an error that is not for the person: {error!r}") from error


def counted(target: str, outcome: Any) -> Any:
    executions[target] += 1
    outcomes[f"{target}: {'refused' if isinstance(outcome, HuggingFaceAPIError) else 'taken'}"] += 1
    return outcome


@often
@given(clauses(ENGINE_NAMES) | VALUES)
def create_engine(using: Any) -> None:
    settings = counted("CREATE ML_ENGINE", outcome_of(lambda: engine_settings(using)))
    if isinstance(settings, EngineSettings):
        assert SECRET not in repr(settings) or settings.api_key is None
        json.dumps(settings.model_dump(mode="json", exclude={"api_key"}))


@often
@given(
    st.sampled_from(sorted(TASKS)),
    clauses([*MODEL_NAMES, *PARAMETERS]),
    clauses([*MODEL_NAMES, *PARAMETERS]),
    st.booleans(),
)
def create_model_and_select(task: str, using: dict[Any, Any], changes: dict[Any, Any], whole: bool) -> None:
    base = frame_of(task)[1] if whole else {}
    made = counted("CREATE MODEL", outcome_of(lambda: model_settings({**base, **using})))
    if not isinstance(made, HuggingFaceAPIError):
        assert SECRET not in str({name: value for name, value in made.parameters.items() if name in KEY_NAMES})
        changed = counted(
            "SELECT ... USING", outcome_of(lambda: model_settings(merge_select_overrides({**base, **using}, changes)))
        )
        if not isinstance(changed, HuggingFaceAPIError):
            assert (changed.task, changed.model, changed.endpoint) == (made.task, made.model, made.endpoint)


CELLS: st.SearchStrategy[Any] = VALUES | st.sampled_from(
    [None, float("nan"), "data:image/png;base64,AAAA", "data:,", "data:image/svg+xml,<svg/>", "http://169.254.169.254/", "file:///etc/passwd",
     '[{"role": "user", "content": "a"}]', '{"a": ["1"]}', b"\x89PNG\r\n\x1a\n", b"GIF89a", "\ud800", "a\x00", "x" * 100_000, {"a": object()}]
)  # fmt: skip


@often
@given(st.sampled_from(sorted(TASKS)), st.data())
def any_cells(task: str, data: st.DataObject) -> None:
    frame, using = frame_of(task)
    for name in frame.columns:
        frame[name] = pd.Series(data.draw(st.lists(CELLS, min_size=3, max_size=3)), dtype=object)
    if data.draw(st.integers(0, 3)) == 0:
        using |= data.draw(clauses([*MODEL_NAMES, *PARAMETERS]))
    if data.draw(st.booleans()):  # else a table of which no row is answered is an error
        using["on_error"] = "null"
    before = [list(map(id, frame[name])) for name in frame.columns]

    async def post(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> client.Response:
        assert url.startswith(("http://127.0.0.1:9/", "https://")), url
        assert SECRET not in str(headers)
        return client.Response(400, CIMultiDict(), b'{"error": "seen"}')

    default_session().http.post = post  # type: ignore[method-assign]
    engine = {"endpoint": f"http://127.0.0.1:9/{sum(executions.values())}/models", "cache": False}
    out = counted("cells", outcome_of(lambda: predict(frame, using, engine)))
    assert [list(map(id, frame[name])) for name in frame.columns] == before, "the table was changed"
    if not isinstance(out, HuggingFaceAPIError):
        assert list(out.index) == list(frame.index)
        for reason in out.filter(regex="_error$").to_numpy().ravel():
            assert reason is None or (len(reason) <= LONGEST_SENTENCE and SECRET not in reason)


def fuzz(seconds: float) -> dict[str, Any]:
    """Try arguments for ``seconds``, and each statement ``LEAST`` times. Returns what was tried; raises what was found."""
    started = real()
    set_hypothesis_home_dir(Path(__file__).parents[2] / ".hypothesis")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # a value that is taken for a folder may be made
        while real() - started < seconds or min(executions.values(), default=0) < LEAST:
            create_engine()
            create_model_and_select()
            any_cells()
        os.chdir("/")
    return {"seconds": round(real() - started), "executions": dict(executions), "outcomes": dict(outcomes)}


if __name__ == "__main__":
    results = Path(sys.argv[2]).absolute() if len(sys.argv) > 2 else None
    found = fuzz(float(sys.argv[1]))
    print(f"{sum(found['executions'].values())} executions; {found['outcomes']}")
    if results is not None:
        results.write_text(json.dumps(found))
