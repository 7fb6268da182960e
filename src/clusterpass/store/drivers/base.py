"""The logic that both stores share: all but sending and waiting."""

from typing import Any

from clusterpass.model.errors import ClusterPassError, StoreUnavailable
from clusterpass.protocol.script import Answer, ScriptCall
from clusterpass.store.drivers.primary_confirmation import PrimaryConfirmation
from clusterpass.store.drivers.slot_searches import SlotSearches
from clusterpass.store.exchanges.carry_out import carry_out
from clusterpass.store.exchanges.steps import Exchange
from clusterpass.store.exchanges.unavailable import locate, tell_tried


class StoreBase(SlotSearches, PrimaryConfirmation):
    """The base class of the synchronous and the asynchronous store."""

    def _tell(self, error: ClusterPassError) -> None:
        if isinstance(error, StoreUnavailable) and self._untold:
            tell_tried(error, self._untold)
            locate(error, self.location)
        cause = error.cause if isinstance(error, StoreUnavailable) else None
        self.counters.store_errors[cause or error.code] += 1
        if self.on_unavailable is not None and isinstance(error, StoreUnavailable):
            self.on_unavailable(error)

    def _carry_out(
        self, call: ScriptCall[Any], began: float | None = None
    ) -> Exchange[Answer[Any]]:
        return carry_out(call, self._terms, began=began)

    def _until(self, call: ScriptCall[Any], began: float) -> float | None:
        """When the driver has to give up the write ``call``, in seconds of the monotonic clock.

        None where no attempt takes so long that the deadline of the call would be far exceeded.
        """
        if not (self._waits_long and call.script.writes):
            return None
        return began + self._terms.seconds(call)

    def _note_change(self, call: ScriptCall[Any]) -> None:
        """Tell the observer, even after a failed write, that the key may have changed."""
        if self._observer is not None and call.confirm:
            self._observer.changed(call.keys[0])
