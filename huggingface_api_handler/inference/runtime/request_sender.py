"""Requests of one query, each in a slot and within the budget."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ...config.settings import ModelSettings
from ...printable import printable
from ...redaction import redact
from ...tasks import Input
from ..failures import Failure, FailureKind, classify_exception, rejection_kind
from ..flow_control.limiter import Limiter
from ..flow_control.outcome import Outcome
from ..pricing.cost import NOT_ANSWERED, NOT_BILLED, PROVIDER_HEADER, Cost, cost_of
from ..protocols.jobs import JobRefusedError, get_for_job
from ..protocols.request import RequestResult, send_request
from ..protocols.routing import Route
from ..storage.quota import Quota
from ..telemetry.usage import Usage
from ..transport.client import Response
from .budgets import Budgets, Reserved, query_quotas
from .context import Dependencies, outcome_of

_FIRST_UNBILLED_STATUS = 400
_MAX_PROVIDER_CHARS = 64
_MAX_REFUSED_IN_ALL_FORMS = 3  # inputs: of odd rows there are seldom so many before the first answer


class RequestSender:
    """Sends the requests of one query.

    Args:
        model: the checked arguments of the model.
        route: where its requests go.
        timeout_s: seconds that one request may take.
        usage: counts what is asked and taken.
        dependencies: the limiter, the budgets and how a request is sent.
        is_stopped: whether the query has ended.

    Attributes:
        route: where its requests go.
        sent: requests that were sent.
        received: those of them that have a response or a failure.
    """

    def __init__(
        self,
        model: ModelSettings,
        route: Route,
        timeout_s: float,
        usage: Usage,
        dependencies: Dependencies,
        is_stopped: Callable[[], bool],
    ) -> None:
        self.sent = self.received = dependencies.sent
        self.route = route
        self._model, self._timeout_s = model, timeout_s
        self._usage, self._deps, self._is_stopped = usage, dependencies, is_stopped
        budgets = dependencies.budgets
        self._budgets = Budgets(model, query_quotas(model), dependencies.prices) if budgets is None else budgets
        self._waited_until_s = 0.0
        self._is_form_taken = False
        self._first_route: Route | None = None
        self._is_first_form_taken = False
        self._refused_in_all_forms = 0

    async def acquire_slot(self) -> None:
        """Wait until a request may go."""
        waited_s = await self._deps.limiter.acquire()
        if waited_s:
            now = self._deps.clock()
            self._usage.seconds_waited += max(0.0, now - max(now - waited_s, self._waited_until_s))
            self._waited_until_s = now

    def release_slot(self) -> None:
        """Give back a slot in which nothing is sent."""
        self._deps.limiter.release(None)

    async def send(self, items: Sequence[Input]) -> RequestResult | Failure:
        """Send one request in a slot that was acquired, and give the slot back.

        Args:
            items: the inputs of the request, their media loaded.

        Returns:
            What came of it; a failure where it cannot be built, or the budget is spent.
        """
        deps, usage, hooks, route = self._deps, self._usage, self._deps.hooks, self.route
        try:
            body = route.protocol.encode(self._model.definition, items, self._model)
        except (TypeError, ValueError) as error:
            self.release_slot()
            return Failure(rejection_kind(len(items)), f"the input cannot be sent ({error})")
        reserved = await self._reserve(items, body.data, route) if self._budgets.is_limited else None
        if isinstance(reserved, Failure):
            return reserved
        outcome: Outcome | None = None
        number = 0
        try:
            usage.record_request(len(items), len(body.data))
            started = deps.clock()
            number = self.sent = self.sent + 1
            if hooks is not None:
                hooks.request_sent(number, len(items), len(body.data), number - self.received, self._slots())
            if len(items) > 1:
                deps.profile.batches_since_clear += 1
            result = await send_request(deps.post, self._get, route, self._model, body, len(items), self._timeout_s)
            outcome = outcome_of(result, deps.clock() - started, len(items))
        finally:
            deps.limiter.release(outcome)
            if outcome is None and reserved is not None:
                reserved.settle(NOT_ANSWERED, None)
            if outcome is None and number:
                usage.spending.record(NOT_ANSWERED)
                if hooks is not None:
                    hooks.request_cancelled(number, len(items), deps.clock() - started)
        self.received += 1
        usage.record_response(outcome.seconds, result.bytes_received, result.headers, result.usage)
        cost = self._cost(result)
        usage.spending.record(cost)
        if reserved is not None:
            reserved.settle(cost, result.usage)
        if hooks is not None:
            tokens = result.usage.tokens if result.usage is not None else 0
            hooks.request_ended(number, len(items), outcome.seconds, result.failure, result.bytes_received, tokens)
        if result.failure is None:
            usage.history.record(len(body.data), result.usage)
            sizes = deps.profile.batch_size
            sizes.on_single(outcome.seconds) if len(items) == 1 else sizes.on_success(len(items), outcome.seconds)
            self._is_form_taken = True
        elif self._takes_other_form(result.failure, route):
            await self.acquire_slot()
            if not self._is_stopped():
                return await self.send(items)
            self.release_slot()
        return result

    def _cost(self, result: RequestResult) -> Cost:
        """What a request cost, of which this is the result."""
        failure = result.failure
        if failure is not None:
            if failure.status is None:
                return NOT_BILLED if failure.is_unreachable else NOT_ANSWERED
            if failure.status >= _FIRST_UNBILLED_STATUS:
                return NOT_BILLED
        provider = result.headers.get(PROVIDER_HEADER)
        name = None if provider is None else redact(printable(provider))[:_MAX_PROVIDER_CHARS]
        return cost_of(self._deps.prices(), result.usage, name)

    def _takes_other_form(self, failure: Failure, sent_to: Route) -> bool:
        """Whether to ask again in another form, where a request was refused for how it asked.

        A form that all rows might be refused in is told from a row that is refused in every form.
        """
        task, is_asked_anew = self._model.definition, sent_to is not self.route
        is_first = is_asked_anew or not (self._is_form_taken or self._refused_in_all_forms >= _MAX_REFUSED_IN_ALL_FORMS)
        other = sent_to.protocol.fallback(task, self._model, failure, is_first=is_first)
        if is_asked_anew:  # the form was changed for another request, which was out at the same time
            return other is not None
        if other is not None:
            if self._first_route is None:
                self._first_route, self._is_first_form_taken = self.route, self._is_form_taken
            self.route = replace(self.route, protocol=other)
            self._deps.profile.protocol = other
        elif self._first_route is not None and self._may_go_back and failure.kind is FailureKind.INPUT_REJECTED:
            self.route, self._first_route = self._first_route, None
            self._deps.profile.protocol = None
            self._refused_in_all_forms += 1
        return other is not None

    @property
    def _may_go_back(self) -> bool:
        """Whether a row that is refused in the last form too was at fault, and not the form that was left for it."""
        return self._is_first_form_taken or not self._is_form_taken

    async def _get(self, url: str, headers: Mapping[str, str]) -> Response:
        """Send one more request of a provider's job. It counts as all do, but ``max_requests`` does not end a job."""
        deps, hooks = self._deps, self._deps.hooks
        if (spent := await self._budgets.count_request()) is not None:
            raise JobRefusedError(spent)
        self._usage.record_request(0, 0)
        started = deps.clock()
        number = self.sent = self.sent + 1
        if hooks is not None:
            hooks.request_sent(number, 0, 0, number - self.received, self._slots())
        try:
            response = await get_for_job(deps.get, self.route.url, url, headers, self._timeout_s)
        except asyncio.CancelledError:
            self._usage.spending.record(NOT_BILLED)
            if hooks is not None:
                hooks.request_cancelled(number, 0, deps.clock() - started)
            raise
        except Exception as error:
            self._note_got(number, started, classify_exception(error, host=self.route.host))
            raise
        is_refused = not response.is_success
        failure = Failure(FailureKind.TRANSIENT, "the provider refuses to tell of a job", response.status)
        self._note_got(number, started, failure if is_refused else None, len(response.body))
        return response

    def _note_got(self, number: int, started: float, failure: Failure | None, size: int = 0) -> None:
        self.received += 1
        self._usage.bytes_received += size
        self._usage.spending.record(NOT_BILLED)
        if self._deps.hooks is not None:
            self._deps.hooks.request_ended(number, 0, self._deps.clock() - started, failure, size, 0)

    def note_retry(self, failure: Failure, attempt: int, inputs: int, delay_s: float) -> None:
        """Count that a request is sent again, and tell hooks.

        Args:
            failure: how it failed.
            attempt: how many attempts there were.
            inputs: that it carries.
            delay_s: seconds until it is sent again.
        """
        self._usage.retries += 1
        if self._deps.hooks is not None:
            self._deps.hooks.retry(failure, attempt, inputs, delay_s)

    def note_pause(self, failure: Failure, inputs: int) -> None:
        """Count that the service is waited for, and tell hooks.

        Args:
            failure: by which it asks to wait, or shows that it is away.
            inputs: of the request that failed.
        """
        self._usage.rate_limit_waits += 1
        if self._deps.hooks is not None:
            self._deps.hooks.pause(failure, inputs)

    def _slots(self) -> float | None:
        """How many requests may be in flight on the route; None where the limiter is not ours."""
        return self._deps.limiter.slots if isinstance(self._deps.limiter, Limiter) else None

    async def _reserve(self, items: Sequence[Input], data: bytes, route: Route) -> Reserved | Failure:
        """Reserve what a request may take, in a slot, which is given back where it may not be sent."""
        seconds = self._timeout_s * (2 if route.protocol.blocks else 1)  # of the job of a provider too
        has_slot, found = True, None
        try:
            while not isinstance(found, (Reserved, Failure)):
                found = await self._budgets.reserve(items, data, seconds)
                if isinstance(found, Quota):
                    self.release_slot()
                    has_slot = False
                    await found.wait_for_settlement()
                    await self.acquire_slot()
                    has_slot = True
                if self._is_stopped() and not isinstance(found, Failure):
                    if isinstance(found, Reserved):
                        found.cancel()
                    found = Failure(FailureKind.NOT_SENT, "the query ended before this row")
            return found
        finally:
            if has_slot and not isinstance(found, Reserved):
                self.release_slot()
