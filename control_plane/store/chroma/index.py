"""Documents in ChromaDB, to be searched by meaning; behind a store that has the say.

ChromaDB has no transactions. So nothing is true because it is in here: the index follows a store, remembers in a file how
far it has come, and writes again what it is not sure of. It can be thrown away at any time; the next look fills it.
Counterpart: `embedding.py` makes the vectors. Never: telemetry, or an embedding by a model that would be downloaded.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec
from msgspec import Struct

from control_plane.schema.runner import SchemaError
from control_plane.store.chroma.embedding import embedded, words_of
from control_plane.store.interface import Store, StoreError
from control_plane.store.records import DocumentRecord, Installation, Kind, Position

if TYPE_CHECKING:
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection

T = TypeVar("T")
_Vector = Sequence[float] | Sequence[int]

BATCH = 1_000
"""Documents that are written at once; ChromaDB takes 5,461."""
SCHEMA = 1
"""Number of the newest migration. An older collection is derived anew, which is all that a migration of it takes."""
MARK = "followed.json"
NEEDS_EXTRA = "search by meaning needs ChromaDB: pip install 'layout-mutation-engine[chroma]'"
FOLDER_MODE = 0o700
NOBODY = Installation("", 0, datetime.fromtimestamp(0, UTC))
"""Whose data it is before anybody has written."""


class Near(Struct, frozen=True):
    """A document that was found. `distance`: 0 for the same words, 1 for none in common."""

    id: str
    distance: float


class _Followed(Struct, frozen=True):
    """How far the index has come, and in which form."""

    schema: int
    installation: str
    epoch: int
    change: int


class Index:
    """One folder. Everything is done in one thread, in order."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chroma")
        self._client: Client | None = None
        self._collection: Collection | None = None
        self._following = asyncio.Lock()

    async def open(self) -> None:
        """Open or make it. Raises StoreError (the extra is missing, the folder can't be used), SchemaError (it is newer)."""
        if self._collection is None:
            await self._run(self._open)

    async def close(self) -> None:
        """Let go of it."""
        await self._run(self._close)

    async def follow(self, store: Store) -> None:
        """Take in what the store has that is not here yet; raises StoreError. Harmless again."""
        async with self._following:
            await self.open()
            position = await store.position()
            known = await self._run(self._known)
            ours = position.installation or NOBODY
            if known is not None and (
                (known.installation, known.epoch) != (ours.id, ours.epoch) or known.change > position.change
            ):
                known = None  # other data, or a store that was set back
            if known is not None and known.change == position.change:
                return
            if known is None:
                await self._run(self._empty)
            # The audit and the tables are no concern of an index: from the newest on.
            since = Position(None, known.change if known else -1, position.audit_number, b"", position.table_version)
            batch = list[DocumentRecord]()
            async for record in store.records(since):
                if isinstance(record, DocumentRecord) and record.change is not None:
                    batch.append(record)
                    if len(batch) >= BATCH:
                        await self._write(batch)
                        batch = []
            await self._write(batch)
            followed = _Followed(SCHEMA, ours.id, ours.epoch, position.change)
            await self._run(lambda: self._remember(followed))

    async def fill_up(self, store: Store) -> None:
        """Derive everything anew where it has not as many documents as the store that it followed; raises StoreError."""
        there = 0
        for kind in Kind:
            there += len(await store.ids(kind))
        if await self._run(lambda: self._opened().count()) != there:
            await self._run(self._empty)
            await self.follow(store)

    async def near(self, kind: Kind, text: str, limit: int) -> list[Near]:
        """The documents of a kind that are nearest to a text, the nearest first; raises StoreError."""
        await self.open()
        return await self._run(lambda: self._near(kind, text, limit))

    async def content(self, kind: Kind, document_id: str) -> bytes | None:
        """A document as it lies here; None where it is not there or deleted. Raises StoreError."""
        await self.open()
        return await self._run(lambda: self._content(kind, document_id))

    async def differing(self, store: Store) -> tuple[str, ...]:
        """The documents (`kind/id`) that lie here otherwise than in the store, but for those that are still to come; raises StoreError.

        None where nothing was ever filled in, or in an older form: that is made anew by the next `follow`, and not here.
        """
        known = await self._run(self._known)
        if known is None or known.schema < SCHEMA:
            return ()
        await self.open()
        here = await self._run(self._versions)
        there = dict[str, int]()
        for kind in Kind:
            for one in await store.everything(kind):
                key = _key(kind, one.id)
                there[key] = one.version
                if one.change > known.change:
                    here[key] = one.version
        return tuple(sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key)))

    async def _write(self, records: Sequence[DocumentRecord]) -> None:
        if records:
            await self._run(lambda: self._put(records))

    async def _run(self, work: Callable[[], T]) -> T:
        def guarded() -> T:
            try:
                return work()
            except (StoreError, SchemaError):
                raise
            except Exception as error:  # ChromaDB's errors have no common ancestor, and Rust's panics come along
                raise StoreError(f"ChromaDB in {self._folder}: {str(error)[:300] or type(error).__name__}") from error

        return await asyncio.shield(asyncio.wrap_future(self._thread.submit(guarded)))

    # ------------------------------------------------------------------ in the thread

    def _open(self) -> None:
        try:
            import chromadb  # noqa: PLC0415 - 600 MB that few need
            from chromadb.config import Settings  # noqa: PLC0415
        except ImportError as error:
            raise StoreError(NEEDS_EXTRA) from error
        known = self._known()
        if known is not None and known.schema > SCHEMA:
            raise SchemaError(
                f"{self._folder} is newer than this program: it is at {known.schema:04}, the program knows {SCHEMA:04}. "
                "Nothing was changed; run the newer program, or delete the folder, which is filled again."
            )
        self._folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        client = chromadb.PersistentClient(str(self._folder), settings=Settings(anonymized_telemetry=False))
        self._client = cast("Client", client)
        if known is not None and known.schema < SCHEMA:
            self._empty()
        self._collection = self._made(self._client)

    def _close(self) -> None:
        client, self._client, self._collection = self._client, None, None
        if client is not None:
            client.close()

    def _made(self, client: "Client") -> "Collection":
        return client.get_or_create_collection(
            _name(SCHEMA), embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )

    def _opened(self) -> "Collection":
        if self._collection is None:
            raise StoreError(f"the index in {self._folder} is not open")
        return self._collection

    def _empty(self) -> None:
        """Throw away what is there, in whatever form."""
        (self._folder / MARK).unlink(missing_ok=True)
        client = self._client
        if client is None:
            raise StoreError(f"the index in {self._folder} is not open")
        for collection in client.list_collections():
            client.delete_collection(collection.name)
        self._collection = self._made(client)

    def _known(self) -> _Followed | None:
        try:
            return msgspec.json.decode((self._folder / MARK).read_bytes(), type=_Followed)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def _remember(self, followed: _Followed) -> None:
        draft = self._folder / f"{MARK}.{os.getpid()}"
        draft.write_bytes(msgspec.json.encode(followed))
        draft.replace(self._folder / MARK)

    def _put(self, records: Sequence[DocumentRecord]) -> None:
        collection = self._opened()
        if gone := [_key(one.kind, one.id) for one in records if one.deleted]:
            collection.delete(ids=gone)
        if there := [one for one in records if not one.deleted]:
            vectors: list[_Vector] = [embedded(words_of(one.version.content)) for one in there]
            collection.upsert(
                ids=[_key(one.kind, one.id) for one in there],
                embeddings=vectors,
                documents=[one.version.content.decode("utf-8") for one in there],
                metadatas=[{"kind": one.kind.value, "version": one.version.version} for one in there],
            )

    def _versions(self) -> dict[str, int]:
        found, collection = dict[str, int](), self._opened()
        while page := collection.get(limit=BATCH, offset=len(found), include=["metadatas"])["ids"]:
            rows = collection.get(ids=page, include=["metadatas"])
            found |= {
                key: cast("int", one["version"]) for key, one in zip(rows["ids"], rows["metadatas"] or (), strict=True)
            }
        return found

    def _near(self, kind: Kind, text: str, limit: int) -> list[Near]:
        vector: _Vector = embedded(text)
        if not any(vector):
            return []
        found = self._opened().query(
            query_embeddings=[vector], n_results=limit, where={"kind": kind.value}, include=["distances"]
        )
        distances = (found["distances"] or [[]])[0]
        return [Near(key.partition("/")[2], distance) for key, distance in zip(found["ids"][0], distances, strict=True)]

    def _content(self, kind: Kind, document_id: str) -> bytes | None:
        found = self._opened().get(ids=[_key(kind, document_id)], include=["documents"])["documents"]
        return found[0].encode("utf-8") if found else None


def _key(kind: Kind, document_id: str) -> str:
    return f"{kind.value}/{document_id}"


def _name(schema: int) -> str:
    return f"documents-{schema:04}"
