"""Finds out by DuckDB which queries of inputs can be run, and which conditions they may have."""

from __future__ import annotations

from collections.abc import Sequence

from .blocks import Block
from .input_errors import described_columns, input_error
from .input_queries import Around, Describe, binding_form, select_inputs
from .model_joins import ModelJoin


class InputBinder:
    """Tries queries of the blocks of one statement."""

    def __init__(self, forms: Around, describe: Describe) -> None:
        """Try nothing yet.

        Args:
            forms: The text around each block.
            describe: Gives the columns of a query, or raises DuckDB's error where it does not bind.
        """
        self._around, self._describe = forms, describe

    def alone(self, core: str, block: Block) -> str:
        """A query as it may be run by itself, without the rows of outer queries.

        Args:
            core: The query as it would run inside of a block.
            block: The block.

        Returns:
            The query with what WITH defines around it.
        """
        return next(self._around.forms(core, block))

    def form(self, core: str, block: Block) -> str:
        """A query as it may be run by itself, with the rows of outer queries where it reads them.

        Args:
            core: The query as it would run inside of a block.
            block: The block.

        Returns:
            The first form that binds.

        Raises:
            duckdb.Error: None does.
        """
        return binding_form(self._around.forms(core, block), self._describe)[0]

    def binds(self, query: str) -> bool:
        """Whether a query can be run.

        Args:
            query: As it would be run.

        Returns:
            True where DuckDB says so.
        """
        try:
            self._describe(query)
        except Exception:  # any error of DuckDB
            return False
        return True

    def binding(
        self,
        block: Block,
        expressions: Sequence[str],
        source: str,
        conditions: Sequence[str],
        *,
        may_be_outer: bool = True,
    ) -> tuple[list[str], list[str]]:
        """The conditions that bind without what stands right of a model, and the types of its inputs.

        Args:
            block: The model's.
            expressions: Its inputs.
            source: What stands left of it.
            conditions: What rows must fulfil.
            may_be_outer: Whether a name in a condition that no table there has is one of an outer query: not where it
                may be one of a table that stands right of the model.

        Returns:
            The conditions that bind, and the SQL types.

        Raises:
            duckdb.Error: The inputs do not bind.
        """
        core = select_inputs(expressions, source, [])
        _, columns = binding_form(self._around.forms(core, block), self._describe)
        found: list[str] = []
        waiting = [list(conditions)]
        while waiting:
            tried = waiting.pop()
            core = select_inputs(["1"], source, [*found, *tried])
            forms = self._around.forms(core, block) if may_be_outer else [self.alone(core, block)]
            if any(self.binds(form) for form in forms):
                found += tried
            elif len(tried) > 1:  # most often all bind, or all of a half
                middle = len(tried) // 2
                waiting += [tried[middle:], tried[:middle]]
        return found, [type_ for _, type_ in columns]

    def error(self, block: Block, join: ModelJoin, expressions: Sequence[str], source: str) -> Exception:
        """What to say of inputs that do not bind.

        Args:
            block: The model's.
            join: The model in FROM.
            expressions: Its inputs.
            source: What stands left of it.

        Returns:
            DuckDB's error where what stands left cannot be read, else a sentence about the first input that cannot.
        """
        if source and (refused := self._refused(block, source)) is not None:
            return refused
        right = block.relations[block.relations.index(join.relation) + 1 :]

        def columns() -> list[str]:
            """The columns left of the model."""
            form = next(self._around.forms(f"SELECT * FROM {source}", block))
            return described_columns(self._describe, f"({form})")

        def error_of(expression: str) -> Exception | None:
            """What DuckDB says of one input."""
            try:
                core = select_inputs([expression], source, [])
                binding_form(self._around.forms(core, block), self._describe)
            except Exception as error:  # any error of DuckDB
                return error
            return None

        labels = [relation.label for relation in right if relation.label is not None]
        return input_error(join, expressions, columns, labels, error_of)

    def _refused(self, block: Block, source: str) -> Exception | None:
        """What is wrong with what stands left of a model, without the text that we wrote."""
        try:
            self.form(f"SELECT * FROM {source}", block)
        except Exception as error:
            return type(error)(str(error).partition("\n\nLINE ")[0])
        return None
