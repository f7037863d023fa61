"""Statements for engines and models: told by their first words, read by MindsDB's parser."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from .connection import Connection
    from .result import Result
    from .tokens import Statement

    Command = Callable[[Statement, Connection], Result | None]

# Modules and functions by name: most of these import what asks models, which takes a second.
_COMMANDS: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(rf"(?:{words})(?: |$)"), module, function)
    for words, module, function in (
        ("CREATE ML_ENGINE", "engines", "create_engine"),
        ("DROP ML_ENGINE", "engines", "drop_engine"),
        ("SHOW ML_ENGINES?", "describing", "show_engines"),
        ("CREATE (?:OR REPLACE )?(?:MODEL|PREDICTOR)", "making", "create_model"),
        ("RETRAIN", "making", "retrain"),
        ("DROP (?:MODEL|PREDICTOR)", "making", "drop_model"),
        ("SHOW (?:MODELS|PREDICTORS)", "describing", "show_models"),
        ("DESC(?:RIBE)?", "describing", "describe"),
        (r"CREATE (?:OR REPLACE )?(?:TEMP |TEMPORARY )?VIEW", "views", "create_view"),
        ("DROP VIEW", "views", "drop_view"),
        ("DROP TABLE", "views", "refuse_to_drop_model"),
        ("USE MINDSDB", "describing", "use_mindsdb"),
    )
)

_REFUSED: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rf"(?:{words})(?: |$)"), sentence)
    for words, sentence in (
        (
            "FINETUNE",
            "huggingface_api runs models and does not train them. Fine-tune on Hugging Face, then CREATE MODEL with "
            "that model",
        ),
        (
            "EVALUATE",
            "EVALUATE is MindsDB's. Here a measure is SQL: SELECT avg((m.sentiment = t.label)::INT) FROM t JOIN m",
        ),
        (
            "(?:CREATE|DROP|SHOW) JOBS?",
            "there are no jobs here: nothing runs while this program does not. Let cron, or the like, run "
            "`huggingface-api-handler sql script.sql`",
        ),
        (
            "CREATE TRIGGER [^ ]+ ON|SHOW TRIGGERS",
            "there are no triggers on models here. Run the statement after you have changed the table",
        ),
        (
            "(?:CREATE|ALTER|DROP|SHOW) (?:OR REPLACE )?(?:DATABASE|PROJECT)",
            "CREATE DATABASE is MindsDB's. Here the data is DuckDB's: name a file (FROM 'reviews.csv'), or ATTACH a "
            "database. Models need no project",
        ),
        (
            "(?:CREATE|ALTER|DROP|SHOW|EVALUATE) (?:INDEX ON )?KNOWLEDGE(?:_| )BASES?",
            "there are no knowledge bases here. Keep vectors in a table: CREATE TABLE v AS SELECT ... with a model of "
            "task = 'feature-extraction'",
        ),
        (
            "(?:CREATE|ALTER|UPDATE|DROP|SHOW) (?:AGENT|CHATBOT|SKILL)S?",
            "agents, chatbots and skills are MindsDB's. A chat model here is CREATE MODEL ... USING task = "
            "'chat-completion'",
        ),
        (
            "SET (?:SESSION |GLOBAL )?PREDICTOR_CACHE",
            "there is no predictor cache here: answers are stored by their input and arguments. cache = false in "
            "CREATE ML_ENGINE stores none; options = {'use_cache': false} behind USING asks again",
        ),
        (
            "CREATE ANOMALY DETECTION MODEL",
            "there is no anomaly detection here. CREATE MODEL makes a model",
        ),
    )
)


def run_command(statement: Statement, connection: Connection) -> Result | None:
    """Run a statement for engines, models and views over models.

    Args:
        statement: any statement.
        connection: on which it runs.

    Returns:
        Its result; None for a statement that is DuckDB's or has models in its FROM.

    Raises:
        InputError: it is such a statement and cannot be run.
        InferenceError: a server refused a key, or the Hub cannot be asked.
    """
    words = " ".join(statement.words)
    for pattern, sentence in _REFUSED:
        if pattern.match(words):
            raise InputError(sentence)
    for pattern, module, function in _COMMANDS:
        if pattern.match(words):
            command: Command = getattr(import_module(f".{module}", __package__), function)
            return command(statement, connection)
    return None
