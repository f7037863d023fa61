"""What the reference pages say of tasks, commands, DESCRIBE and spans, made of the code."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from inspect import cleandoc

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from huggingface_api_handler.cli.main import PROGRAM, command_parser
from huggingface_api_handler.config.reference import arguments_of, markdown
from huggingface_api_handler.inference import output_schema
from huggingface_api_handler.inference.protocols.preflight import DESCRIBED_FIELDS, MAX_INPUT_TOKENS
from huggingface_api_handler.inference.telemetry import events, usage_log
from huggingface_api_handler.inference.telemetry.opentelemetry import OpenTelemetryHook
from huggingface_api_handler.inference.telemetry.usage import Usage
from huggingface_api_handler.tasks import TASKS, Task

_EXAMPLE_LABELS = ["a", "b"]
_SEVERAL_COLUMNS = ("values", "fields", "whole table")
"""Data types of arguments that name several columns."""

_USAGE_NAMES = {"waits": "rate_limit_waits", "stored": "cache_hits"}
"""Columns of usage -> fields of ``Usage``."""

_COMPUTED_USAGE = {
    "query": "'all' for the sum of all queries, else when the query ended, in UTC. The last 20 have a row.",
    "requests_avoided": "Rows with an input that took no request: they were equal to others, in a batch, or stored.",
    "errors": "Rows without a prediction by the [kind of failure](failures.md), as JSON.",
    "p50_seconds": "Time within which half of the requests came back, right to within 5 %.",
    "p95_seconds": "Time within which 95 % of them did.",
    "failovers": "How often a provider failed for everybody and the next one was asked, by their names and the "
    "reason, as JSON.",
    "usd": "What the requests cost in dollars; NULL where no cost of any request is known.",
    "usd_note": "What is not in `usd`, and why.",
    "usd_estimated_low": "What was estimated before the query, at least. NULL where nothing was.",
    "usd_estimated_high": "What was estimated before the query, at most.",
}
"""Columns of usage that are no field of ``Usage``, or hold it in another form."""

_MODEL_PROPERTIES = {
    "model": "The model's name.",
    "address": "Where its requests go.",
    "key sent": "Whether a key goes along.",
    "billed to": "Who pays, at Hugging Face.",
    MAX_INPUT_TOKENS: "How many tokens an input may have, and who says so.",
    "provider NAME": "What Hugging Face says of a provider that serves the model: status, length, speed, prices.",
    "served as of": "When that was said, in UTC.",
    "warning": "Why it is not known who serves the model.",
    "provider": "The provider that the engine or the model names.",
    "protocol": "What the server at an endpoint is asked in, and how that is known.",
    "server": "Why the server could not be reached.",
}


def task_sections() -> str:
    """Write a section for each task: its arguments, and the columns of its predictions.

    Returns:
        The sections in Markdown, without a line break at its end.
    """
    return "\n\n".join(_task_section(task) for task in TASKS.values())


def _task_section(task: Task) -> str:
    names = f" You may also write {_listed(task.aliases)}." if task.aliases else ""
    model = f"Default model: `{task.default_model}`." if task.default_model else "It has no default model: name one."
    columns = ", ".join(f"`{name}` {sql_type}" for name, sql_type in _output(task).items())
    description = task.description if task.description.endswith(".") else f"{task.description}."
    table = markdown(arguments_of(task))
    return f"### {task.name}\n\n{description}{names} {model}\n\n{table}\n\nGives {columns}."


def _output(task: Task) -> dict[str, str]:
    """The columns of a prediction that is called `p`."""
    using: dict[str, object] = {"task": task.name, "model": "owner/name", "target": "p"}
    for column in task.columns:
        if column.required or column.argument in ("column", "table_column"):
            several = column.data_type in _SEVERAL_COLUMNS
            using[column.argument] = _EXAMPLE_LABELS if several else f"of_{column.argument}"
    if "candidate_labels" in {*task.required_parameters, *task.arguments}:
        using["candidate_labels"] = _EXAMPLE_LABELS
    return output_schema(using)


def _listed(names: tuple[str, ...]) -> str:
    return " or ".join(f"`{name}`" for name in names)


def command_sections() -> str:
    """Write a section for each command, of its arguments.

    Returns:
        The sections in Markdown, without a line break at its end.
    """
    return "\n\n".join(_command_section(name, text, command) for name, text, command in commands())


def commands() -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """List the commands.

    Yields:
        Each command's name, what it does, and its parser.
    """
    yield from _commands_of(command_parser())


def _commands_of(
    parser: argparse.ArgumentParser, before: str = ""
) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    for group in parser._actions:
        if isinstance(group, argparse._SubParsersAction):
            for action in group._choices_actions:
                command = group.choices[action.dest]
                yield before + action.dest, str(action.help), command
                yield from _commands_of(command, f"{before}{action.dest} ")


def _command_section(name: str, text: str, command: argparse.ArgumentParser) -> str:
    lines = [f"### {name}", "", text, "", "```", f"{PROGRAM} {name}{_positionals(command)}", "```"]
    hidden = argparse._HelpAction, argparse._SubParsersAction
    actions = [action for action in command._actions if not isinstance(action, hidden)]
    if actions:
        lines += ["", "| argument | meaning |", "|---|---|"]
        lines += [f"| {_spelled(action)} | {_help(action, command)} |" for action in actions]
    return "\n".join(lines)


def _positionals(command: argparse.ArgumentParser) -> str:
    names = [
        f"[{_metavar(action)}]" if action.nargs == "?" else _metavar(action)
        for action in command._actions
        if not action.option_strings
    ]
    options = [] if all(isinstance(action, argparse._HelpAction) for action in _options(command)) else ["[options]"]
    return "".join(f" {each}" for each in [*names, *options])


def _options(command: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in command._actions if action.option_strings]


def _metavar(action: argparse.Action) -> str:
    if action.choices is not None:
        return "|".join(map(str, action.choices))
    given = action.metavar if isinstance(action.metavar, str) else None
    return given or (action.dest.upper())


def _spelled(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{_metavar(action)}`".replace("|", r"\|")
    value = "" if action.nargs == 0 else f" {_metavar(action)}"
    value = f" [{value.strip()}]" if action.nargs == "?" else value
    return ", ".join(f"`{option}{value}`" for option in action.option_strings).replace("|", r"\|")


def _help(action: argparse.Action, command: argparse.ArgumentParser) -> str:
    text = " ".join(command._get_formatter()._expand_help(action).split()) if action.help else ""
    required = " (required)" if action.required and action.option_strings else ""
    return text.replace("|", r"\|").replace("<", "&lt;") + required


def usage_columns() -> str:
    """Write the table of the columns of DESCRIBE model.usage.

    Returns:
        The table in Markdown, without a line break at its end.
    """
    fields = dict(re.findall(r"^    (\w+): (.+?)$", cleandoc(str(Usage.__doc__)), re.M))
    lines = ["| column | what it holds |", "|---|---|"]
    for column in usage_log.no_usage().columns:
        meaning = _COMPUTED_USAGE.get(column) or fields[_USAGE_NAMES.get(column, column)]
        lines.append(f"| `{column}` | {re.sub(r' Public as .*', '', meaning).replace('``', '`')} |")
    return "\n".join(lines)


def model_properties() -> str:
    """Write the table of what DESCRIBE model.model shows.

    Returns:
        The table in Markdown, without a line break at its end.
    """
    lines = ["| property | what it says |", "|---|---|"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in _MODEL_PROPERTIES.items()]
    said = ", ".join(f"`{name}`" for name in DESCRIBED_FIELDS)
    return "\n".join([*lines, f"| {said} | What the server or the Hub says of the model under this name. |"])


def span_attributes() -> str:
    """Write the table of the attributes of spans, as OpenTelemetry's hook makes them.

    Returns:
        The table in Markdown, without a line break at its end.
    """
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    hook = OpenTelemetryHook(provider)
    query = events.QueryInfo(1, "chat-completion", "owner/name", "host:8080")
    hook.on_query_started(events.QueryStarted(query, 1, 0, 1))
    hook.on_request_sent(events.RequestSent(query, 1, 1, 1, 1, 1.0))
    hook.on_request_failed(events.RequestFailed(query, 1, 1, 1.0, "rate limited", 429, 1, 1))
    hook.on_pause(events.RoutePaused(query, 1, 1.0, 429))
    hook.on_retry(events.RetryScheduled(query, 1, 1, 1.0, 500))
    hook.on_query_ended(events.QueryEnded(query, Usage("chat-completion", "owner/name", "host"), "InferenceError"))
    found: dict[str, list[str]] = {}
    for span in exporter.get_finished_spans():
        kind = "query" if span.name != "POST" else "request"
        for name in span.attributes or {}:
            found.setdefault(name, []).append(f"span of a {kind}")
        for event in span.events:
            for name in event.attributes or {}:
                found.setdefault(name, []).append(f"event `{event.name}`")
    lines = ["| attribute | of |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | {', '.join(found[name])} |" for name in sorted(found))])
