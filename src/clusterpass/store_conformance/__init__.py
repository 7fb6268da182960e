"""The suite that every store driver passes; for drivers of your own, with pytest.

Derive a test class and say how a store is opened. The tests run against a real cluster::

    from clusterpass.store_conformance import StoreConformance

    class TestMyStore(StoreConformance):
        def open_store(self, url):
            return MyStore.from_url(url)

Drivers that are awaited are run in an event loop on a thread of its own. The members of a store
are described in ``clusterpass.store.protocol``.
"""

from clusterpass.store_conformance.opened import Opened
from clusterpass.store_conformance.recorder import Recorder
from clusterpass.store_conformance.suite import StoreConformance

__all__ = ["Opened", "Recorder", "StoreConformance"]
