"""Both drivers of the library pass the suite that any driver passes."""

from clusterpass import AsyncStore, SyncStore
from clusterpass.store_conformance import StoreConformance


class TestSyncStore(StoreConformance):
    def open_store(self, url: str) -> SyncStore:
        return SyncStore.from_url(url)


class TestAsyncStore(StoreConformance):
    def open_store(self, url: str) -> AsyncStore:
        return AsyncStore.from_url(url)
