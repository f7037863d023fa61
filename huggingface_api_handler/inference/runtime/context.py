"""One query: what it asks, of which route, for whom, and what it uses on the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from ...config.settings import EngineSettings, ModelSettings
from ...pieces import LARGE_BYTES
from ...tasks import Media, MediaRef, Prediction
from ...tasks.text_windows import CountTokens
from ...urls import without_slash
from ..failures import Failure, FailureKind
from ..flow_control.outcome import Outcome
from ..flow_control.retry import RetryPolicy
from ..flow_control.route_profile import RouteProfile
from ..flow_control.route_registry import RouteState
from ..media import loader
from ..media.loader import MediaPolicy
from ..pricing.prices import NO_PRICES, PriceList
from ..protocols.jobs import Get, JobEndedError
from ..protocols.key_policy import account_of_one_budget
from ..protocols.request import Post, RequestResult
from ..protocols.routing import Route, resolve_route
from ..storage.provider_answers import ProviderAnswers
from ..storage.quota import Quota
from ..storage.response_cache import NoResponseCache, ResponseCache
from ..storage.scope import Scope, hash_of
from ..storage.sqlite import Store
from ..storage.tables import AnswerTable, Tables
from ..telemetry.hooks import Hooks, InferenceHook, hooks_of
from ..telemetry.usage import Usage
from ..tokenizers import tokenizer_of
from ..transport.client import MAX_RESPONSE_BYTES, Response
from ..transport.large_bodies import off_loop
from .budgets import Budgets, engine_quotas, query_quotas
from .chunked_text import asks_in_parts
from .own_limiter import Limiter, LimiterWithSlots
from .session import Session, default_session

if TYPE_CHECKING:
    from ..storage.redis_store import RedisStore

Load = Callable[[MediaRef], Awaitable[Media]]
Save = Callable[[Media], Awaitable[str]]
CheckLink = Callable[[str], Awaitable[None]]
AskLength = Callable[[], Awaitable[int | None]]
AnyResponseCache = ResponseCache | ProviderAnswers | NoResponseCache

MAX_AWAY_S = 30.0
"""Seconds for which a provider may fail for everybody before the next one is asked."""


async def _get_nothing(_url: str, _headers: Mapping[str, str], _timeout_s: float) -> Response:
    raise JobEndedError


@dataclass(frozen=True)
class Dependencies:
    """What a query uses, and tests replace.

    Attributes:
        post: sends one request.
        limiter: says when a request may go.
        profile: what the route has shown.
        load: loads the media that a cell names.
        save: makes a cell of media that a model made.
        sleep: waits for so many seconds.
        clock: seconds of one monotonic clock.
        answers: the stored answers.
        budgets: what the query may take; None for the limits of the model's arguments alone.
        retry_policy: what is tried again after a failure.
        hooks: who is told of requests; None where there is nobody.
        detect: asks the server again what it speaks, after a failure of the first request; None where that is known.
        check_link: raises MediaError for an address that the model server may not be sent to; None to check none.
        get: sends one more request of a provider's job.
        sent: requests that the query has sent to other providers before.
        tokenizer: counts the tokens of a text as the model does; None where it is not on this machine, or not needed.
        ask_length: asks how many tokens an input may have, which nobody has said yet; None where nobody can be asked.
        max_away_s: seconds for which the provider may fail for everybody, where there is another; None where there is
            none.
        prices: what requests cost, as it is known now.
    """

    post: Post
    limiter: Limiter
    profile: RouteProfile
    load: Load
    save: Save
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    answers: AnyResponseCache = field(default_factory=NoResponseCache)
    budgets: Budgets | None = None
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    hooks: Hooks | None = None
    detect: Callable[[Failure | None], Awaitable[Route]] | None = None
    check_link: CheckLink | None = None
    get: Get = _get_nothing
    sent: int = 0
    tokenizer: CountTokens | None = None
    ask_length: AskLength | None = None
    max_away_s: float | None = None
    prices: Callable[[], PriceList] = lambda: NO_PRICES


@dataclass(frozen=True)
class Query:
    """What a query asks, and of which route. Made outside the event loop, since the store may take its time to open.

    Attributes:
        model: the checked arguments of CREATE MODEL and SELECT.
        engine: the checked arguments of CREATE ML_ENGINE.
        route: where its requests go.
        usage: counts what it asks and takes.
        session: the connections, stores and routes that it uses.
        scope: whose it is; None from Python without a name.
        hooks: who is told of it; None where there is nobody.
        failed: the routes to other providers that have failed for everybody. What they answered before is found.
        known_prices: what requests cost, where nobody needs to be asked for it.
        job: tells the job whose processes share one budget; None for a query of one process.
        limits: the limits of its model's arguments, where another query counts with it; None for its own.
        partners: the usage of queries whose requests are this one's too, as long as they run.
        store: the file of what the processes of this machine share.
        shared_store: the Redis that several machines share; None where there is none.
        tables: where answers, counts and usage are stored: in one or the other.
        answers: the stored answers that it may use.
    """

    model: ModelSettings
    engine: EngineSettings
    route: Route
    usage: Usage
    session: Session
    scope: Scope | None = None
    hooks: Hooks | None = None
    failed: tuple[Route, ...] = ()
    known_prices: PriceList | None = None
    job: str | None = None
    limits: Sequence[Quota] | None = None
    partners: list[Usage] = field(default_factory=list)
    store: Store = field(init=False)
    shared_store: RedisStore | None = field(init=False)
    tables: Tables = field(init=False)
    answers: AnyResponseCache = field(init=False)

    def __post_init__(self) -> None:
        store = self.session.store(self.engine.cache_dir)
        store.wait_until_open()
        tables = self.session.tables(self.engine)
        object.__setattr__(self, "store", store)
        object.__setattr__(self, "shared_store", self.session.shared_store(self.engine))
        object.__setattr__(self, "tables", tables)
        object.__setattr__(self, "answers", self._answers(tables.answers))

    @classmethod
    def of(
        cls,
        model: ModelSettings,
        engine: EngineSettings,
        session: Session | None,
        scope: Scope | None,
        hooks: Sequence[InferenceHook] = (),
        known_prices: PriceList | None = None,
        job: str | None = None,
    ) -> Query:
        """A query, with its route.

        Args:
            model: the checked arguments of CREATE MODEL and SELECT.
            engine: the checked arguments of CREATE ML_ENGINE.
            session: the connections, stores and routes to use; None for those of the process.
            scope: whose it is; None from Python without a name.
            hooks: who is told of it, beside the session's hooks and those that are registered.
            known_prices: what requests cost, where nobody needs to be asked for it; None where that may be asked.
            job: tells the job whose processes share one budget; None for a query of one process.

        Returns:
            The query, of which nothing is sent yet.

        Raises:
            InputError: the model has no route (see ``routing.resolve_route``).
            InferenceError: the Hub cannot be asked for the model's name at the provider.
        """
        route = resolve_route(engine, model, may_ask=not model.dry_run)
        usage = Usage(model.task, model.model, route.host)
        used = session or default_session()
        listeners = None if model.dry_run else hooks_of([*used.hooks, *hooks], usage)
        return cls(model, engine, route, usage, used, scope, listeners, known_prices=known_prices, job=job)

    async def dependencies(self) -> tuple[Route, RouteState, Dependencies]:
        """What a query needs before its first request.

        Returns:
            The route as its server wants to be asked, what this process knows of it, and what the query uses.
        """
        session, task = self.session, self.model.definition

        async def detect(failure: Failure | None) -> Route:
            """The route as its server wants to be asked."""
            return await session.servers.detect(session.http, self.route, task, failure)

        route = await detect(None)
        state = await self.route_state(route)
        route = state.profile.in_known_form(route)
        policy = MediaPolicy(_path(self.engine.media_dir), self.engine.allow_private_media)
        output_dir = _path(self.engine.output_dir)
        threads = session.http.threads_of(self._owner())

        async def load(reference: MediaRef) -> Media:
            """The media that a cell names."""
            return await loader.load(reference.cell, reference.kind, policy, threads)

        async def check_link(link: str) -> None:
            """Refuse an address that the model server may not be sent to."""
            await loader.check_link(link, policy)

        async def ask_length() -> int | None:
            """The tokens that an input may have, as the server or the Hub says it."""
            length = await session.servers.lengths.find(session.http, self.engine, route, task)
            return length and length.tokens

        async def save(media: Media) -> str:
            """A cell of media."""
            if output_dir is None and len(media.data) > LARGE_BYTES:
                return await off_loop(loader.save, media, None)  # one at a time: each takes its size three times
            return await threads.run(loader.save, media, output_dir)

        slots = self.session.limiter
        dependencies = Dependencies(
            self.session.http.post_to_public if route.is_public_only else self.session.http.post,
            state.limiter if slots is None else LimiterWithSlots(state.limiter, slots),
            state.profile,
            load,
            save,
            answers=self.answers,
            retry_policy=RetryPolicy(self.engine.max_attempts, max_wait_s=self.engine.max_wait),
            hooks=self.hooks,
            detect=detect,
            check_link=check_link,
            get=partial(session.http.get, max_bytes=MAX_RESPONSE_BYTES, public_only=route.is_public_only),
            tokenizer=await self.tokenizer(),
            ask_length=ask_length if session.servers.lengths.may_ask(route, task) else None,
            max_away_s=MAX_AWAY_S if route.fallbacks else None,
            prices=self.prices,
        )
        return route, state, dependencies

    @cached_property
    def prices(self) -> Callable[[], PriceList]:
        """What requests cost, as it is known at each call: the prices of whoever may answer.

        They may change while the query runs.
        """
        prices = self.known_prices
        return self.session.servers.prices.of(self.engine, self.model) if prices is None else lambda: prices

    def budgets(self) -> Budgets:
        """What the query may take.

        Returns:
            The limits of the model's arguments and of the engine's, of which nothing is reserved yet.
        """
        of_query = self.own_limits() if self.limits is None else self.limits
        of_engine = engine_quotas(self.engine, self.tables.quotas, self._owner().encode())
        return Budgets(self.model, [*of_engine, *of_query], self.prices)

    def own_limits(self) -> Sequence[Quota]:
        """The limits of the model's arguments.

        Returns:
            A quota for each, of which nothing is reserved yet.
        """
        if self.job is None:
            return query_quotas(self.model)
        return query_quotas(self.model, self.tables.quotas, self.job.encode())

    async def refresh_prices(self, inputs: int) -> None:
        """Ask what requests cost, where that is not known or is old.

        Args:
            inputs: how many the query is known to have. A small one without a budget in dollars does not ask.
        """
        prices = self.session.servers.prices
        has_budget = self.model.max_usd is not None or self.engine.usd_per_month is not None
        if self.known_prices is None and prices.is_stale(self.engine, self.model, inf if has_budget else inputs):
            await prices.refresh(self.engine, self.model, self.session.http)

    async def tokenizer(self) -> CountTokens | None:
        """The model's tokenizer.

        Returns:
            What counts the tokens of a text; None where it is not on this machine, or no text is asked in parts.
        """
        if not asks_in_parts(self.model):
            return None
        return await self.session.http.threads_of(self._owner()).run(tokenizer_of, self.model.model)

    async def found_length(self) -> str | None:
        """What requests have shown of how long a text may be. Sends none.

        Returns:
            A text for people; None where it is as the server or the Hub says, or no text is asked in parts.
        """
        task = self.model.definition
        route = self.session.servers.route_to(self.route, task)
        limit = (await self.route_state(route)).profile.token_limit
        is_told = route.max_input_tokens is not None and route.max_input_tokens == limit.tokens
        return None if is_told or task.chunking is None else limit.description

    async def route_state(self, route: Route) -> RouteState:
        """What this process knows of the route.

        Args:
            route: the query's, as its server wants to be asked.

        Returns:
            Its limiter, profile and coordinator: the same object for all queries of this event loop.
        """
        return await self.session.routes.state(route, self.engine, self.store, self.shared_store)

    def _answers(self, table: AnswerTable) -> AnyResponseCache:
        model, engine = self.model, self.engine
        wanted = model.cache if model.cache is not None else engine.cache
        if not (model.definition.deterministic if wanted is None else wanted):
            return NoResponseCache()
        read = model.options.use_cache
        routes = (self.route, *self.failed, *(self.route.fallbacks or ()))
        # Without its slash, as since the first release: stored answers are found by it.
        caches = [
            ResponseCache(
                table, self._owner_of_answers(route), self._stored_url(route.url), model, engine.cache_ttl, read=read
            )
            for route in routes
        ]
        return caches[0] if len(caches) == 1 else ProviderAnswers(caches)

    def _owner_of_answers(self, route: Route) -> str:
        return self._nameless(route) if self.scope is None else self.scope.answers_of(route.account)

    def _owner(self) -> str:
        """Whose requests count together: the engine, whatever its key; from Python without a name, the account."""
        if self.scope is not None:
            return self.scope.engine
        route = self.route
        if route.fallbacks is not None:
            route = replace(route, account=account_of_one_budget(route.account))
        return self._nameless(route)

    def _nameless(self, route: Route) -> str:
        endpoint = self.engine.endpoint
        return f"{endpoint and self._stored_url(endpoint)} {hash_of(route.account)}"

    def _stored_url(self, url: str) -> str:
        return self.session.stored_url(without_slash(url))


def _path(folder: str | None) -> Path | None:
    return Path(folder) if folder else None


def outcome_of(result: RequestResult, seconds: float, inputs: int) -> Outcome:
    """What the limiter is told of a request.

    Args:
        result: the answer or the failure that came.
        seconds: that the request was out.
        inputs: that it carried.

    Returns:
        How it went, for ``Limiter.release``. Where a rate limit rejected it, the pause that the server announced is in
        it; else what remains of the server's limit, and ``inputs``.
    """
    failure = result.failure
    if failure is None or failure.kind is not FailureKind.RATE_LIMITED:
        timed_out = failure is not None and failure.is_timeout
        return Outcome(seconds, failure is None, rate_limit=result.rate_limit, inputs=inputs, timed_out=timed_out)
    return Outcome(seconds, False, True, failure.retry_after_s, failure.is_estimated)


async def save_media(prediction: Prediction, save: Save) -> Prediction:
    """A prediction with cells in place of the media that a model made.

    Args:
        prediction: of which the value is ``Media``, or a list of them.
        save: makes a cell of media.

    Returns:
        The prediction with the cell, or the list of cells, as its value; all else as it was.
    """
    value = prediction.value
    saved = [await save(media) for media in value] if isinstance(value, list) else await save(value)
    return prediction._replace(value=saved)
