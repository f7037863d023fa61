"""Which models of a statement are read at all, and which of their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot.tokens import Token, TokenType

from .blocks import Block, Relation, Span
from .model_joins import JoinedModel, ModelJoin
from .reads import reads_all


class Needs:
    """What a statement reads of its models. In doubt it reads more, which costs money and never correctness."""

    def __init__(self, tokens: Sequence[Token], models: Mapping[Relation, JoinedModel]) -> None:
        """Look at the whole statement.

        Args:
            tokens: The statement's.
            models: The models in it.
        """
        self._tokens, self._models = tokens, models
        self._words = {token.text.lower() for token in tokens if token.token_type is not TokenType.STRING}
        self._words |= {name.lower() for model in models.values() for name in model.inputs}

    def outputs(self, model: JoinedModel) -> set[str]:
        """The outputs of a model that may be read anywhere in the statement.

        Args:
            model: The model.

        Returns:
            Their names.
        """
        whole = Span(0, len(self._tokens))
        for relation, each in self._models.items():
            if each is model and self._takes_all(whole, (relation.alias or model.name).lower(), relation):
                return set(model.outputs)
            if each is model and relation.column_aliases:
                return set(model.outputs)
        return {name for name in model.outputs if name.lower() in self._words}

    def is_read(self, block: Block, join: ModelJoin) -> bool:
        """Whether a block reads anything of a model that it joins.

        Args:
            block: The block.
            join: The model in it.

        Returns:
            False only where surely nothing is read.
        """
        relation, label = join.relation, join.label.lower()
        if join.residual or join.using or relation.column_aliases or self._is_input_of_another(join):
            return True
        span = Span(block.start, block.end or len(self._tokens))
        if block.parent is not None and not block.clauses:  # a join in brackets, which the block around it reads
            span = Span(block.parent.start, block.parent.end or len(self._tokens))
        if self._takes_all(span, label, relation):
            return True
        own = set(range(relation.start, relation.end))
        bound = {position for each in join.bindings.values() for position in range(*each)}
        names = {name.lower() for name in join.model.outputs}
        for position in range(*span):
            token = self._tokens[position]
            if position in own or token.token_type in (TokenType.STRING, TokenType.NUMBER):
                continue
            is_after_dot = self._tokens[position - 1].token_type is TokenType.DOT if position else False
            text = token.text.lower()
            if text in names and (not is_after_dot or self._tokens[position - 2].text.lower() == label):
                return True
            if text == label and not is_after_dot and not self._is_input_of(join, position, bound):
                return True
        return False

    def _is_input_of_another(self, join: ModelJoin) -> bool:
        """Whether another model reads a column of this one by its name alone, which stands nowhere in the statement."""
        names = {name.lower() for name in join.model.outputs}
        others = [model for relation, model in self._models.items() if relation is not join.relation]
        return any(name.lower() in names for model in others for name in model.inputs)

    def _is_input_of(self, join: ModelJoin, position: int, bound: set[int]) -> bool:
        """Whether ``label.column`` names an input, as a condition that binds it does."""
        if position in bound or position + 2 >= len(self._tokens):
            return False
        inputs = {name.lower() for name in join.model.inputs}
        is_column = self._tokens[position + 1].token_type is TokenType.DOT
        return is_column and self._tokens[position + 2].text.lower() in inputs

    def _takes_all(self, span: Span, label: str, relation: Relation) -> bool:
        if reads_all(self._tokens, span, label):
            return True
        for position in range(*span):
            token = self._tokens[position]
            if token.token_type is TokenType.NATURAL:
                return True
            is_reference = relation.start <= position < relation.end
            is_whole_row = (
                token.text.lower() == label
                and not is_reference
                and token.token_type in (TokenType.VAR, TokenType.IDENTIFIER)
                and (position + 1 >= len(self._tokens) or self._tokens[position + 1].token_type is not TokenType.DOT)
                and self._tokens[position - 1].token_type is not TokenType.DOT
            )
            if is_whole_row:
                return True
        return not any(token.token_type is TokenType.SELECT for token in self._tokens[slice(*span)])
