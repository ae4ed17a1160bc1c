"""What is particular about ChromaDB: it follows a store, finds by meaning, and is never the one to be believed."""

import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from control_plane.schema.runner import SchemaError
from control_plane.store import Installation, Kind, StoredVersion, StoreError
from control_plane.store.chroma import ChromaStore, Index
from control_plane.store.chroma.embedding import DIMENSIONS, embedded, words_of
from control_plane.store.local import LocalStore
from tests.control_plane.plane import CHAIN

NOW = datetime(2030, 1, 1, tzinfo=UTC)
OURS = Installation("0193f0a0-0000-7000-8000-000000000001", 1, NOW)
NAMES = {
    "hero": "Bigger headline on the landing page",
    "cart": "Free delivery banner in the shopping cart",
    "menu": "Navigation with fewer entries on phones",
    "german": "Größere Überschrift auf der Startseite",
}


async def put(store: LocalStore, document_id: str, number: int = 1, *, deleted: bool = False, **more: str) -> None:
    content = msgspec.json.encode({"id": document_id, "name": NAMES.get(document_id, ""), **more})
    version = StoredVersion(version=number, content=content, action="created", actor="me", reason="", at=NOW)
    async with store.transaction() as transaction:
        await transaction.put(Kind.MUTATION, document_id, version, deleted=deleted)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    opened = LocalStore(tmp_path / "store.sqlite3", chain=CHAIN)
    await opened.open()
    await opened.found(OURS)
    for document_id in NAMES:
        await put(opened, document_id)
    yield opened
    await opened.close()


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[Index]:
    made = Index(tmp_path / "index")
    yield made
    await made.close()


async def found(index: Index, text: str, limit: int = 2) -> list[str]:
    return [one.id for one in await index.near(Kind.MUTATION, text, limit)]


def nearness(one: str, other: str) -> float:
    return sum(a * b for a, b in zip(embedded(one), embedded(other), strict=True))


def test_a_text_is_the_same_vector_for_ever() -> None:
    vector = embedded("Free delivery")
    assert len(vector) == DIMENSIONS
    assert math.isclose(sum(value * value for value in vector), 1.0)
    assert embedded("free DELIVERY") == vector
    places = sorted(range(DIMENSIONS), key=lambda at: -abs(vector[at]))[:3]
    assert [(at, round(vector[at], 4)) for at in places] == [(215, -0.5247), (210, -0.3887), (475, -0.2721)]
    assert embedded(" ... ") == [0.0] * DIMENSIONS


def test_forms_of_a_word_are_near_and_other_words_are_not() -> None:
    assert nearness("headline", "headlines") > 0.5
    assert nearness("delivery", "delivry") > 0.3
    assert nearness("Überschrift", "uberschriften") > 0.6
    assert nearness("headline", "checkout") < 0.2


def test_a_documents_words_are_its_texts_without_markup_and_what_the_server_writes() -> None:
    content = b'{"id":"a","createdBy":"anna","n":1,"l":["x",{"html":"<b class=q>Sale</b>"}],"note":null}'
    assert words_of(content).split() == ["a", "x", "Sale"]


async def test_what_a_store_has_is_found_by_meaning(store: LocalStore, index: Index) -> None:
    await index.follow(store)
    assert (await found(index, "headlines for landing pages"))[0] == "hero"
    assert (await found(index, "deliver for free"))[0] == "cart"
    assert (await found(index, "uberschriften"))[0] == "german"
    nearest = await index.near(Kind.MUTATION, NAMES["menu"] + " menu", 9)
    assert len(nearest) == len(NAMES)
    assert nearest[0].distance < 0.01 < nearest[1].distance
    assert await found(index, "?!") == []
    assert await index.near(Kind.MODULE, "headline", 9) == []


async def test_it_follows_what_changes(store: LocalStore, index: Index) -> None:
    await index.follow(store)
    await put(store, "menu", 2, note="wheelbarrow")
    await put(store, "hero", 2, deleted=True)
    assert await found(index, "wheelbarrow", 1) != ["menu"]
    await index.follow(store)
    await index.follow(store)
    assert await found(index, "wheelbarrow", 1) == ["menu"]
    assert "hero" not in await found(index, NAMES["hero"], 9)
    assert await index.content(Kind.MUTATION, "hero") is None
    present = await store.find(Kind.MUTATION, "menu")
    assert present is not None
    assert await index.content(Kind.MUTATION, "menu") == present.content


async def test_another_installations_data_takes_the_place_of_what_is_there(
    store: LocalStore, index: Index, tmp_path: Path
) -> None:
    await index.follow(store)
    other = LocalStore(tmp_path / "other.sqlite3", chain=CHAIN)
    await other.open()
    await other.found(msgspec.structs.replace(OURS, id="0193f0a0-0000-7000-8000-000000000002"))
    await put(other, "only")
    await index.follow(other)
    assert await found(index, "headline", 9) == ["only"]
    await other.close()


async def test_a_newer_index_is_refused_untouched_and_an_older_one_is_derived_anew(
    store: LocalStore, tmp_path: Path
) -> None:
    index, mark = Index(tmp_path / "index"), tmp_path / "index" / "followed.json"
    await index.follow(store)
    await index.close()
    present = mark.read_bytes()
    mark.write_bytes(present.replace(b'"schema":1', b'"schema":2'))
    with pytest.raises(SchemaError, match="newer than this program"):
        await index.open()
    assert b'"schema":2' in mark.read_bytes()
    mark.write_bytes(present.replace(b'"schema":1', b'"schema":0'))
    await index.open()
    assert await found(index, "headline") == []
    await index.follow(store)
    assert len(await found(index, "headline", 9)) == len(NAMES)
    assert mark.read_bytes() == present
    await index.close()


async def test_what_chroma_could_not_take_is_told_again(tmp_path: Path) -> None:
    store = ChromaStore(tmp_path / "store.sqlite3", chain=CHAIN)
    await store.open()
    await put(store, "hero")
    await store.index.close()
    mark = tmp_path / "store.sqlite3.chroma" / "followed.json"
    mark.rename(mark.with_name("aside"))
    mark.mkdir()  # in whose place nothing can be written
    await put(store, "cart")  # which is saved all the same
    assert await store.find(Kind.MUTATION, "cart") is not None
    mark.rmdir()
    await put(store, "menu")
    assert set(await found(store.index, "anything", 9)) == {"hero", "cart", "menu"}
    await store.close()
    again = ChromaStore(tmp_path / "store.sqlite3", chain=CHAIN)
    await again.open()
    assert set(await found(again.index, "anything", 9)) == {"hero", "cart", "menu"}
    await again.close()


async def test_a_folder_that_cannot_be_used_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="ChromaDB in"):
        await Index(tmp_path / "file" / "index").open()
