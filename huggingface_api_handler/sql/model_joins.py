"""How a statement joins a model: where each input comes from, and which conditions are left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sqlglot.tokens import Token, TokenType

from ..errors import InputError
from ..inference.pricing.prices import PriceList
from ..inference.runtime.context import Query
from ..inference.runtime.session import Session
from .blocks import Block, Relation, Span
from .reads import conjuncts, equality

_OUTER = ("RIGHT", "FULL")
_NO_MODEL = ("SEMI", "ANTI", "ASOF", "POSITIONAL")


class JoinedModel(Protocol):
    """What is to be known of a model to join it, and to ask it."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def inputs(self) -> Sequence[str]:
        """The columns that it reads."""
        ...

    @property
    def outputs(self) -> Mapping[str, str]:
        """The SQL type of each column that it gives."""
        ...

    @property
    def prices(self) -> PriceList:
        """What its tokens cost; empty where that is not known."""
        ...

    def query(self, session: Session) -> Query:
        """A query of it, of which nothing is sent yet.

        Args:
            session: the connections, stores and routes that it uses.

        Returns:
            The query.
        """
        ...


DryQuery = Callable[[JoinedModel], Query]
"""A query of a model that only counts."""


@dataclass(eq=False)
class ModelJoin:
    """A model in FROM.

    Attributes:
        relation: Its item of FROM.
        model: The model.
        label: What its columns are qualified with, as it is written.
        bindings: The expression of each input that the statement names, by the input in lower case. The others are
            columns of that name.
        residual: The conditions of ON that bind nothing.
        using: The columns of USING that the model gives.
        where: The conditions of WHERE that bind an input, with the input; and whether NULL equals NULL there.
    """

    relation: Relation
    model: JoinedModel
    label: str
    bindings: dict[str, Span] = field(default_factory=dict)
    residual: list[Span] = field(default_factory=list)
    using: tuple[str, ...] = ()
    where: list[tuple[Span, str, bool]] = field(default_factory=list)

    @property
    def is_optional(self) -> bool:
        """Whether a row stays where a condition of ON does not hold."""
        return self.relation.join.startswith("LEFT")

    def reads(self, names: set[str]) -> bool:
        """Whether names may be columns of it.

        Args:
            names: In lower case, without what they are qualified with.

        Returns:
            True where they may.
        """
        columns = (self.label, *self.model.outputs, *self.relation.column_aliases)
        return any(column.lower() in names for column in columns)


def behind_tables(block: Block, models: Mapping[Relation, JoinedModel]) -> bool:
    """Move models that stand before the first table behind it, with the table's condition, in ``block.relations``.

    Args:
        block: Of which FROM is put in order.
        models: The models among its relations.

    Returns:
        Whether anything was moved.
    """
    tables = [relation for relation in block.relations if relation not in models]
    if not tables or block.relations[0] not in models:
        return False
    table, first = tables[0], block.relations[0]
    index = block.relations.index(table)
    first.join, table.join = table.join.replace("RIGHT", "LEFT").replace("FULL", "LEFT"), ""
    if table.on is not None or table.using is not None:
        first.on, first.using, table.on, table.using = table.on, table.using, None, None
    table.condition_end = table.end
    block.relations[: index + 1] = [table, *block.relations[:index]]
    return True


def read_join(
    tokens: Sequence[Token], relation: Relation, model: JoinedModel, conditions: Sequence[Span], *, is_alone: bool
) -> ModelJoin:
    """Read how a model is joined.

    Args:
        tokens: The statement's.
        relation: Its item of FROM.
        model: The model.
        conditions: Those of WHERE.
        is_alone: Whether no table stands in FROM, so that names without a qualifier may be its inputs.

    Returns:
        Where its inputs come from.

    Raises:
        InputError: A model cannot be joined so.
    """
    label = relation.alias or model.name
    join = ModelJoin(relation, model, label)
    _refuse_join(relation, label)
    inputs = {name.lower() for name in model.inputs}
    outputs = {name.lower() for name in model.outputs}
    if relation.on is not None:
        for span in conjuncts(tokens, relation.on):
            found = equality(tokens, span, label.lower())
            if found is not None and found.column in inputs and found.column not in join.bindings:
                join.bindings[found.column] = found.expression
            elif [token.token_type for token in tokens[slice(*span)]] != [TokenType.TRUE]:
                join.residual.append(span)
    if relation.using is not None:
        join.using = tuple(name for name in relation.using if name.lower() in outputs)
        unknown = [name for name in relation.using if name.lower() not in inputs | outputs]
        if unknown:
            raise InputError(
                f"USING ({unknown[0]}): {label} reads {_listed(model.inputs)} and gives {_listed(model.outputs)}"
            )
    for span in conditions:
        found = equality(tokens, span, label.lower()) or (equality(tokens, span, None) if is_alone else None)
        if found is not None and found.column in inputs and found.column not in join.bindings:
            join.bindings[found.column] = found.expression
            join.where.append((span, found.column, found.keeps_null))
    return join


def _refuse_join(relation: Relation, label: str) -> None:
    words = relation.join.split()
    if any(word in _OUTER for word in words):
        raise InputError(
            f"{relation.join} {label}: a model has no rows of its own. JOIN {label} keeps every row before it"
        )
    for word in words:
        if word in _NO_MODEL:
            raise InputError(f"{relation.join} {label}: a model is joined with JOIN or LEFT JOIN. Filter in WHERE")
    if relation.is_sampled:
        raise InputError(f"{label} is a model and has no rows to take a sample of. Take it of the table")


def _listed(names: Sequence[str] | Mapping[str, str]) -> str:
    return ", ".join(names)
