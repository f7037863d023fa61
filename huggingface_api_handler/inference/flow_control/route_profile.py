"""What requests have shown about a route."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..protocols.base import WireProtocol
from ..protocols.routing import Route
from .batch_size import BatchSizeTuner
from .length_limit import LengthLimit
from .token_limit import TokenLimit

_MAX_AMBIGUITIES = 4  # in a row, where no batch was read rightly in this process
_MAX_AMBIGUITIES_AFTER_CLEAR = 20  # where one was: of faults in passing, three in ten, so many seldom come in a row
_MIN_AMBIGUOUS_SHARE = 3 / 4  # of the batches sent in that time: faults that are told at once overtake right answers


@dataclass
class RouteProfile:
    """What requests have shown about one route.

    Attributes:
        has_answered: Whether any request was answered.
        accepts_batches: Whether batches are answered rightly, None until the route was probed.
        batch_size: Finds the size of batches.
        length_limit: Finds how long an input may be that goes together with others.
        token_limit: How long an input may be.
        ambiguities: Responses to batches, in a row, of which it is unclear which part is whose.
        has_read_batch: Whether any response to a batch was clear.
        batches_since_clear: Batches that were sent since the last response that was clear.
        protocol: The protocol in the form that the server takes, where it refused the usual one.
    """

    has_answered: bool = False
    accepts_batches: bool | None = None
    batch_size: BatchSizeTuner = field(default_factory=BatchSizeTuner)
    length_limit: LengthLimit = field(default_factory=LengthLimit)
    token_limit: TokenLimit = field(default_factory=TokenLimit)
    ambiguities: int = 0
    has_read_batch: bool = False
    batches_since_clear: int = 0
    protocol: WireProtocol | None = None

    def in_known_form(self, route: Route) -> Route:
        """The route in the form of its protocol that its server took before.

        Args:
            route: As it was found out.

        Returns:
            The same with another protocol, where that was found to be needed.
        """
        found = self.protocol
        if found is None or type(found) is not type(route.protocol) or found.name != route.protocol.name:
            return route
        return replace(route, protocol=found)

    def limit_batch_size(self, max_size: int | None) -> None:
        """Send batches of the size that the server names.

        Args:
            max_size: Inputs in one request at most; None where the server names none.
        """
        if max_size is not None and not self.batch_size.settled:
            before = self.batch_size
            self.batch_size = BatchSizeTuner(max_size, settled=True, timeout_s=before.timeout_s, timely=before.timely)

    def on_ambiguous(self) -> None:
        """Note a response to a batch of which it is unclear which part is whose. After several, batches end."""
        self.ambiguities += 1
        if self.ambiguities <= (_MAX_AMBIGUITIES_AFTER_CLEAR if self.has_read_batch else _MAX_AMBIGUITIES):
            return
        if not self.has_read_batch or self.ambiguities >= self.batches_since_clear * _MIN_AMBIGUOUS_SHARE:
            self.accepts_batches = False

    def on_unambiguous(self) -> None:
        """Note a response to a batch of which it is clear which part is whose."""
        self.ambiguities = self.batches_since_clear = 0
        self.has_read_batch = True
