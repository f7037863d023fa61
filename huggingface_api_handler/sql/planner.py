"""A statement with models, made one that DuckDB runs: each model is asked for its inputs, then looked up.

A model in FROM becomes a lateral subselect on a temporary table of its predictions, put into the person's own text in
the place of the join, so that names, ``*``, USING, windows and set operations stay DuckDB's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot.tokens import Token

from ..errors import InputError
from .block_reader import read_structure
from .blocks import Block, Query, Relation, Span, named_tables, nested_queries
from .database import Database
from .from_text import FromText
from .functions import functions_of
from .input_binder import InputBinder
from .input_queries import Around, InputQuery, select_inputs
from .limit_windows import limited
from .local_files import Signature, signature
from .model_joins import JoinedModel, ModelJoin, behind_tables, read_join
from .model_plan import ModelPlan
from .needs import Needs
from .predictions import Predictions, quoted
from .products import split_product
from .pushdown import pushable
from .reads import conjuncts
from .sources import Sources, is_ordered
from .windowed_block import WindowedBlock

Resolve = Callable[[Relation], JoinedModel | None]
"""The model that a relation of a statement names; None for anything else."""

MAX_NESTED_QUERIES = 32
"""Queries in each other: for each, what stands in the others is bound once more."""


class Planner:
    """Asks the models of one statement and puts their predictions into its text."""

    def __init__(self, text: str, tokens: Sequence[Token], resolve: Resolve, database: Database) -> None:
        """Read the statement.

        Args:
            text: The statement.
            tokens: Its tokens.
            resolve: Finds models.
            database: The person's.

        Raises:
            InputError: A bracket has no partner.
        """
        self._tokens, self._database = tokens, database
        self._root = read_structure(tokens)
        self._text = FromText(text, tokens)
        found = [(relation, resolve(relation)) for relation in named_tables(self._root)]
        self._models = {relation: model for relation, model in found if model is not None}
        if self._models and (depth := nested_queries(self._root)) > MAX_NESTED_QUERIES:
            raise InputError(
                f"subselects stand in each other {depth} deep, and a statement that uses a model may have "
                f"{MAX_NESTED_QUERIES}. Put the inner ones into a table, CREATE TEMP TABLE ... AS SELECT ..."
            )
        self.needs = Needs(tokens, self._models)
        self._joins: dict[Relation, ModelJoin] = {}
        self._around = Around(self._text.ctes, self._text.outer_items)
        self._binder = InputBinder(self._around, database.describe)

    @property
    def has_models(self) -> bool:
        """Whether any model is in the statement."""
        return bool(self._models)

    def files(self) -> Signature:
        """The local files that the statement reads, as they are now."""
        return signature(self._tokens, self._root)

    def labels(self) -> dict[str, JoinedModel]:
        """The models of the statement, by what their columns are qualified with."""
        return {relation.alias or model.name: model for relation, model in self._models.items()}

    def run(self, predictions: Predictions) -> str:
        """Ask every model for what the statement needs of it.

        Args:
            predictions: Asks, and keeps what comes until the statement is done.

        Returns:
            The statement for DuckDB.

        Raises:
            InputError: A model cannot be joined as the statement says it. Nothing was asked of that model.
        """
        self._predictions = predictions
        self._functions = functions_of(self._database.rows, self._tokens)
        self._sources = Sources(self._tokens, self._functions, self._database.rows, self._database.describe)
        self._query(self._root)
        return self._text.render()

    def _refuse_recursion(self, query: Query) -> None:
        """Refuse a model in the recursive part of a CTE, which is run again with what it gave."""
        for cte in query.ctes:
            inside = [model for relation, model in self._models.items() if relation.start in range(*cte.span)]
            if query.is_recursive and inside and self._names(cte.query.span, cte.name):
                raise InputError(
                    f"{cte.name} is recursive and asks the model {inside[0].name}, which is not possible. "
                    "Ask the model of what the CTE gives"
                )

    def _names(self, span: Span, name: str) -> bool:
        return any(token.text.lower() == name.lower() for token in self._tokens[slice(*span)])

    def _has_model(self, span: Span) -> bool:
        return any(relation.start in range(*span) for relation in self._models)

    def _query(self, query: Query) -> None:
        self._refuse_recursion(query)
        for number, cte in enumerate(query.ctes):
            self._around.begun[query] = number
            self._query(cte.query)
            if not self._sources.is_repeatable(cte.query) and any(each.start >= cte.span.end for each in self._models):
                self._store_cte(query, number)
        self._around.begun.pop(query, None)
        for child in query.children:
            self._query(child)
        for block in query.blocks:
            self._block(block)

    def _store_cte(self, query: Query, number: int) -> None:
        """Run what a CTE defines once, since it may give other rows when it runs again."""
        cte = query.ctes[number]
        self._around.begun[query] = number + 1
        form = self._binder.alone(f"SELECT * FROM {quoted(cte.name)}", Block(cte.span.start, query))
        if self._binder.binds(form):
            self._text.replace(cte.query.span, f"SELECT * FROM {self._predictions.temporary(f'AS {form}')}")

    def _block(self, block: Block) -> None:
        models = {relation: self._models[relation] for relation in block.relations if relation in self._models}
        original = list(block.relations)
        span = Span(original[0].start, original[-1].condition_end) if original else Span(block.start, block.start)
        is_moved = behind_tables(block, models)
        is_alone = len(models) == len(block.relations)
        joins = {
            relation: read_join(self._tokens, relation, model, self._conditions(block), is_alone=is_alone)
            for relation, model in models.items()
        }
        self._joins.update(joins)
        asks_below = any(self._has_model(child.span) for _, child in block.children)
        for number, relation in enumerate(block.relations):
            if relation.query is not None:
                self._query(relation.query)
            elif relation.group is not None:
                self._block(relation.group)
            is_read_before = asks_below or any(each in models for each in block.relations[number:])
            if relation not in models and is_read_before:
                self._settle(block, relation)
        windows = None
        if models and not asks_below:
            windows = limited(self._tokens, block, joins, self._functions, self._text.render)
        row_ids = self._row_ids(block, joins, must_exist=windows is not None)
        plans = []
        for relation, join in ((each, joins[each]) for each in block.relations if each in joins):
            plan = self._plan(block, join)
            plans.append(plan)
            if windows is None or row_ids is None:
                self._ask(block, plan)
            if not is_moved:
                self._text.replace(Span(relation.join_start, relation.condition_end), self._text.pieces[relation])
        if is_moved:
            self._text.reorder(span, block.relations)
        if windows is not None and row_ids is not None:
            limited_block = WindowedBlock(block, plans, row_ids, self._tokens, self._text, self._binder)
            limited_block.run(
                windows, self._database, self._predictions, lambda plan, more, rows: self._ask(block, plan, more, rows)
            )
        if row_ids is not None:
            self._order(block, row_ids)
        for _, child in block.children:
            self._query(child)

    def _conditions(self, block: Block) -> list[Span]:
        """The conditions of WHERE, of the block around a join in brackets too."""
        if "WHERE" in block.clauses:
            return conjuncts(self._tokens, block.clauses["WHERE"])
        outer = block.parent
        is_group = outer is not None and any(relation.group is block for relation in outer.relations)
        return self._conditions(outer) if outer is not None and is_group else []

    def _settle(self, block: Block, relation: Relation) -> None:
        """Store what may give other rows when it is read again."""
        if relation.group is not None:
            for each in relation.group.relations:
                if each not in self._models:
                    self._settle(relation.group, each)
        elif not self._sources.is_stable(relation) and not self._store(block, relation):
            volatile = sorted(self._functions.volatile_calls(self._tokens, Span(relation.start, relation.end)))
            if volatile or relation.is_sampled:
                raise InputError(
                    f"{relation.label or 'a subselect'} gives other rows each time it is read"
                    f"{f', by {volatile[0]}' if volatile else ''}, and depends on what stands before it. Put what is "
                    "joined before the model into a table, CREATE TEMP TABLE ... AS SELECT ..."
                )

    def _store(self, block: Block, relation: Relation) -> bool:
        """Read an item of FROM once, into a temporary table that stands in its place; False where it is lateral."""
        if relation.group is not None:
            return False
        text = self._text.render(Span(relation.start, relation.end))
        form = self._binder.alone(f"SELECT * FROM {text}", block)
        if not self._binder.binds(form):
            return False  # since it reads what stands before it
        name = self._predictions.temporary(f"AS {form}")
        alias = relation.label or "unnamed_subquery"
        self._text.stored[relation] = name
        self._text.replace(Span(relation.start, relation.end), f"{name} AS {quoted(alias)}")
        relation.query, relation.alias, relation.column_aliases, relation.is_sampled = None, alias, (), False
        return True

    def _row_ids(
        self, block: Block, joins: dict[Relation, ModelJoin], *, must_exist: bool
    ) -> dict[Relation, list[str]] | None:
        """What tells the rows of each table of a block apart; None where a table has no such thing."""
        tables = [relation for relation in block.relations if relation not in joins]
        if not tables or not joins:
            return None
        is_for_order = len(tables) == 1 and self._is_result(block)
        if not (must_exist or is_for_order):
            return None
        found = {}
        for relation in tables:
            ids = self._row_id(relation)
            if ids is None and self._store(block, relation):
                ids = self._row_id(relation)
            if ids is None:
                return None
            found[relation] = ids
        return found

    def _row_id(self, relation: Relation) -> list[str] | None:
        reference = self._text.render(Span(relation.reference_start, relation.reference_end))
        return self._sources.row_id(relation, self._text.stored.get(relation, reference))

    def _is_result(self, block: Block) -> bool:
        """Whether the rows of a block are those that the person sees."""
        result = self._root
        if not result.blocks and len(result.children) == 1:
            result = result.children[0]  # COPY (SELECT ...) TO
        is_only = result.blocks == [block] and not result.children and block.target is None
        is_changed = {"returning", "conflict"} & {token.text.lower() for token in self._tokens}
        return is_only and not is_changed and is_ordered(self._tokens, block, self._functions)

    def _order(self, block: Block, row_ids: dict[Relation, list[str]]) -> None:
        """Give a result without ORDER BY the order of its table, which the lookup loses."""
        if len(row_ids) != 1 or not self._is_result(block):
            return
        starts = [span.start - 1 for name, span in block.clauses.items() if name in ("LIMIT", "OFFSET")]
        (ids,) = row_ids.values()
        self._text.insert(min(starts, default=block.end), f"\nORDER BY {', '.join(ids)} ")

    def _plan(self, block: Block, join: ModelJoin) -> ModelPlan:
        model, left = join.model, block.relations[: block.relations.index(join.relation)]
        expressions = [self._text.input_of(join, name) for name in model.inputs]
        if not left and len(join.bindings) < len(model.inputs):
            missing = [name for name in model.inputs if name.lower() not in join.bindings]
            raise InputError(
                f"{join.label} is asked for nothing: say WHERE {missing[0]} = '...', or JOIN it to a table "
                f"with the column {missing[0]}"
            )
        self._refuse_volatile(join, left)
        source = self._text.items(left)
        found = pushable(self._tokens, block, join, self._joins, self._models, self._functions)
        texts = {span: self._text.render(span) for span in found}
        try:
            has_right = any(each not in self._joins for each in block.relations[len(left) :])
            conditions, types = self._binder.binding(
                block, expressions, source, list(texts.values()), may_be_outer=not has_right
            )
        except Exception as error:  # any error of DuckDB
            raise self._binder.error(block, join, expressions, source) from error
        table = self._predictions.table(model, types)
        self._text.pieces[join.relation] = self._text.piece(join, table, expressions, is_first=not left)
        for span, name, keeps_null in join.where:
            if left:
                expression = expressions[[each.lower() for each in model.inputs].index(name)]
                self._text.replace(span, "true" if keeps_null else f"(({expression}) IS NOT NULL)")
        bound = [span for span in found if texts[span] in conditions]
        return ModelPlan(join, table, expressions, source, conditions, *self._needed(block, join, left, bound))

    def _needed(
        self, block: Block, join: ModelJoin, left: Sequence[Relation], conditions: Sequence[Span]
    ) -> tuple[list[Relation], list[str]]:
        """The items of FROM that the inputs of a model come from, and what their rows must fulfil."""

        def columns_of(relation: Relation) -> set[str] | None:
            """The columns of an item, as far as it can be read by itself."""
            text = self._text.render(Span(relation.start, relation.end))
            form = self._binder.alone(f"SELECT * FROM {text}", block)
            if relation.is_lateral or not self._binder.binds(form):
                return None
            return {name.lower() for name, _ in self._database.describe(form)}

        def rendered(spans: Sequence[Span]) -> list[str]:
            """The conditions as they are now."""
            return [self._text.render(span) for span in spans]

        parts = split_product(self._tokens, left, self._joins, join, conditions, columns_of)
        if parts is None:
            return list(left), rendered(conditions)
        part, others = parts
        checks = [
            f"EXISTS ({select_inputs(['1'], self._text.items(each.relations), rendered(each.conditions), word='ALL')})"
            for each in others
        ]
        return part.relations, [*rendered(part.conditions), *checks]

    def _refuse_volatile(self, join: ModelJoin, left: Sequence[Relation]) -> None:
        """Refuse what would be another value when it is looked up than when it was asked."""
        spans = [*join.bindings.values(), *(relation.on for relation in left if relation.on is not None)]
        for span in spans:
            found = sorted(self._functions.volatile_calls(self._tokens, span))
            if found:
                raise InputError(
                    f"{self._text.render(span)} would be another value each time it is read. Put {found[0]} into a "
                    f"subselect, such as FROM (SELECT *, {found[0]}() AS x FROM ...), and join {join.label} to that"
                )

    def _ask(self, block: Block, plan: ModelPlan, conditions: Sequence[str] = (), candidates: int = 0) -> None:
        if not self.needs.is_read(block, plan.join):
            return

        def query(word: str) -> str:
            """The query of inputs, each once or for every row."""
            if word == "DISTINCT":
                source, asked = self._text.items(plan.needed), [*plan.needed_conditions, *conditions]
            else:
                source, asked = plan.source, [*plan.conditions, *conditions]
            core = select_inputs(plan.expressions, source, asked, word=word)
            return self._binder.form(core, block)

        self._predictions.ask(plan.table, plan.join.model.inputs, InputQuery(query, candidates))
