"""What is wrong with an input of a model that DuckDB cannot read, in a sentence for the person."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..config.normalize import suggest
from ..errors import InputError
from ..redaction import preview
from .input_queries import Describe
from .model_joins import ModelJoin


def input_error(
    join: ModelJoin,
    expressions: Sequence[str],
    columns: Callable[[], list[str]],
    later: Sequence[str],
    binds: Callable[[str], Exception | None],
) -> InputError:
    """The error for inputs of which one does not bind.

    Args:
        join: The model in FROM.
        expressions: Its inputs.
        columns: Gives the columns of what stands left of the model.
        later: What stands right of the model, as the statement calls it.
        binds: Tries one input, and gives DuckDB's error.

    Returns:
        What to do about the first that does not.
    """
    label = join.label
    for name, expression in zip(join.model.inputs, expressions, strict=True):
        error = binds(expression)
        if error is None:
            continue
        message = str(error).partition("\n")[0]
        if name.lower() in join.bindings:
            missing = next((each for each in later if f'"{each}"' in message), None)
            if missing is not None:
                return InputError(
                    f"the input {expression} of {label} reads {missing}, which stands right of it. Put {label} after it"
                )
            return InputError(f"the input {expression} of {label} cannot be read. DuckDB says: {message}")
        if "mbiguous" in message:
            return InputError(
                f"{label} reads the column {preview(name)}, and more than one table has it. Say which: "
                f"ON {label}.{name} = table.{name}"
            )
        columns_there = columns()
        if name.lower() not in {each.lower() for each in columns_there}:
            hint = suggest(name, columns_there)
            stop = "" if hint.endswith("?") else "."
            return InputError(
                f"{label} reads the column {preview(name)}, which is not there{hint}{stop} "
                f"Say what it reads: ON {label}.{name} = another_column"
            )
        return InputError(f"the input {preview(name)} of {label} cannot be read. DuckDB says: {message}")
    return InputError(f"the inputs of {label} cannot be read together: {', '.join(expressions)}")


def described_columns(describe: Describe, source: str) -> list[str]:
    """The columns of what stands in FROM.

    Args:
        describe: Asks DuckDB.
        source: What stands there.

    Returns:
        Their names; none where it cannot be read either.
    """
    try:
        return [name for name, _ in describe(f"SELECT * FROM {source}")]
    except Exception:  # any error of DuckDB: the input query's own is told
        return []
