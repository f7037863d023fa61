"""Models in blocks that do not run, since they would ask a service with your key, have arguments that are accepted."""

from __future__ import annotations

import pytest

from huggingface_api_handler import InputError
from huggingface_api_handler.inference import output_schema
from tests.support.page_blocks import page_paths, read_page

parser = pytest.importorskip("mindsdb_sql_parser", reason="comes with MindsDB and with the extra sql")
mindsdb_ast = pytest.importorskip("mindsdb_sql_parser.ast.mindsdb")

SKIPPED = {
    f"{path.name}:{block.line}": block.text
    for path in page_paths()
    for block in read_page(path).blocks
    if block.reason and block.language == "sql" and "CREATE MODEL" in block.text
}
ANOTHER_ENGINE = {"endpoint": "http://127.0.0.1:8900/models"}


def columns(sql: str) -> list[str]:
    """The columns of the models that some statements make."""
    statements = [parser.parse_sql(text) for text in sql.split(";") if text.strip()]
    engines = {
        each.name.parts[-1]: dict(each.params) for each in statements if isinstance(each, mindsdb_ast.CreateMLEngine)
    }
    found: list[str] = []
    for model in statements:
        if not isinstance(model, mindsdb_ast.CreatePredictor):
            continue
        using = {**model.using, "target": model.targets[0].parts[-1]}
        engine = engines.get(str(using.pop("engine")), {})
        cascade = using.get("cascade", {})
        if "engine" in cascade:
            using["cascade"] = {**cascade, "engine": engines.get(cascade["engine"], ANOTHER_ENGINE)}
        found += output_schema(using, engine)
    return found


@pytest.mark.parametrize("where", SKIPPED)
def test_the_arguments_are_accepted(where: str) -> None:
    assert columns(SKIPPED[where])


def test_an_argument_of_another_task_is_not() -> None:
    with pytest.raises(InputError, match="question"):
        columns("CREATE MODEL m PREDICT y USING engine = 'hf', task = 'chat-completion', column = 'x', question = 'y?'")
