"""Which conditions of WHERE may choose the rows that a model is asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlglot.tokens import Token

from .blocks import Block, Relation, Span
from .functions import Functions
from .model_joins import JoinedModel, ModelJoin
from .reads import conjuncts, items, words

_KEEPS_UNMATCHED = ("RIGHT", "FULL")


def pushable(
    tokens: Sequence[Token],
    block: Block,
    join: ModelJoin,
    joins: Mapping[Relation, ModelJoin],
    models: Mapping[Relation, JoinedModel],
    functions: Functions,
) -> list[Span]:
    """The conditions that a row must fulfil anyway, whatever the model says of it.

    A condition is one where it reads neither this model nor one to its right, nothing by an alias of the SELECT list
    that is no column of that name, and nothing volatile. None is where a RIGHT or FULL JOIN to the right of the model
    depends on its prediction: rows of the other table would be matched otherwise, and some of them stay in the result.

    Args:
        tokens: The statement's.
        block: The block that joins the model.
        join: The model.
        joins: All models of the block.
        models: All models of the statement.
        functions: DuckDB's.

    Returns:
        The conditions. One that reads a table to the right of the model is among them, and does not bind.
    """
    if "WHERE" not in block.clauses:
        return []
    right = block.relations[block.relations.index(join.relation) + 1 :]
    later = [join, *(joins[relation] for relation in right if relation in joins)]
    if any(_depends(tokens, relation, later) for relation in right if relation not in joins):
        return []
    left = {relation.label.lower() for relation in block.relations[: -len(right) - 1] if relation.label is not None}
    aliases = reading_aliases(tokens, block, later) | _other_aliases(tokens, block, left)
    inside = {relation.start for relation in models}
    bound = {span for span, _, _ in join.where}
    found = []
    for span in conjuncts(tokens, block.clauses["WHERE"]):
        names = words(tokens, span)
        if span in bound or any(each.reads(names) for each in later) or names & aliases:
            continue
        if functions.volatile_calls(tokens, span) or any(start in range(*span) for start in inside):
            continue
        found.append(span)
    return found


def reading_aliases(tokens: Sequence[Token], block: Block, joins: Sequence[ModelJoin]) -> set[str]:
    """The aliases of a SELECT list whose expressions read models.

    Args:
        tokens: The statement's.
        block: The block.
        joins: The models.

    Returns:
        The aliases in lower case.
    """
    found: set[str] = set()
    if "SELECT" not in block.clauses:
        return found
    for item in items(tokens, block.clauses["SELECT"]):
        names = words(tokens, item.span)
        if item.alias is not None and (names & found or any(join.reads(names) for join in joins)):
            found.add(item.alias)
    return found


def _other_aliases(tokens: Sequence[Token], block: Block, left: Collection[str]) -> set[str]:
    """The aliases of a SELECT list that are no columns of the same name: without the list they would be something else.

    Args:
        tokens: The statement's.
        block: The block.
        left: What the tables that are read are called, in lower case.

    Returns:
        The aliases in lower case.
    """
    found = set()
    for item in items(tokens, block.clauses["SELECT"]) if "SELECT" in block.clauses else ():
        texts = [token.text.lower() for token in tokens[slice(*item.span)]]
        is_column = texts[-1:] == [item.alias] and (texts[:-1] == [] or (texts[1:-1] == ["."] and texts[0] in left))
        if item.alias is not None and not is_column:
            found.add(item.alias)
    return found


def _depends(tokens: Sequence[Token], relation: Relation, joins: Sequence[ModelJoin]) -> bool:
    """Whether the rows of an outer join that stay unmatched depend on predictions."""
    if not any(word in relation.join for word in _KEEPS_UNMATCHED):
        return False
    if "NATURAL" in relation.join:
        return True
    names = words(tokens, relation.on) if relation.on is not None else {each.lower() for each in relation.using or ()}
    return any(join.reads(names) for join in joins)
