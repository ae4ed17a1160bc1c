"""Real pages through a running sidecar: untouched bytes are the origin's, and an edit is the only difference it makes.

Both ends are raw sockets. `corpus.py` has the ways in which the origin serves the pages, the edits, and how to take them
out again.
"""

from collections.abc import Iterator

import pytest

from sidecar.rewriting.pages import CODED_BYTES_MIN
from tests.end_to_end.corpus import (
    EDITABLE,
    UNTOUCHABLE,
    WAYS,
    Corpus,
    Loaded,
    chinese,
    content,
    edits,
    possible,
    taken_out,
)
from tests.end_to_end.site import Site
from tests.end_to_end.stack import Sidecar, SigningKeys, alone
from tests.end_to_end.visitor import Answer
from tests.shared_folder import reads_shared_folder, shared_files

pytestmark = reads_shared_folder

OF_THE_BYTES = {b"etag", b"last-modified", b"accept-ranges", b"content-encoding", b"vary"}
"""Fields that describe the bytes, and what they depend on; of an edited page the sidecar says what is true of its own."""


@pytest.fixture(scope="module")
def origin() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.fixture(scope="module")
def sidecar(origin: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar with three mutations for the pages below `/edited/`."""
    keys = SigningKeys()
    with alone(tmp_path_factory.mktemp("sidecar"), origin.url, keys, keys.sealed(*edits()), workers=1) as running:
        yield running


@pytest.fixture
def corpus(origin: Site) -> Corpus:
    """The pages on the origin."""
    return Corpus(origin, {path.name: path.read_bytes() for path in shared_files("corpus/pages", "*.html")})


def assert_untouched(case: str, loaded: Loaded) -> None:
    """Status line, every field and every byte are the origin's."""
    assert loaded.through.line == loaded.origin.line, case
    assert loaded.through.end_to_end == loaded.origin.end_to_end, case
    assert loaded.through.body == loaded.origin.body, case
    assert loaded.through.verdict.startswith("passed; reason="), case


def not_of_the_bytes(answer: Answer) -> list[tuple[bytes, bytes]]:
    return [pair for pair in answer.end_to_end if pair[0].lower() not in OF_THE_BYTES]


def varies_by(answer: Answer) -> set[bytes]:
    """The members of Vary."""
    listed = [value for name, value in answer.end_to_end if name.lower() == b"vary"]
    return {member.strip().lower() for value in listed for member in value.split(b",")}


def test_without_a_rule_a_page_is_the_origins_byte_for_byte(corpus: Corpus, sidecar: Sidecar) -> None:
    for way in WAYS:
        for loaded in corpus.load(sidecar.port, "plain", way):
            assert_untouched(f"{way.__name__} {loaded.name}", loaded)


def test_an_edited_page_without_its_edits_is_the_origins(corpus: Corpus, sidecar: Sidecar) -> None:
    for way in EDITABLE:
        for name, origin, through in corpus.load(sidecar.port, "edited", way):
            case = f"{way.__name__} {name}: {through.verdict}"
            source = corpus.pages[name]
            restored, found = taken_out(content(through), source)
            assert restored == source, case
            assert found == possible(source), case
            assert through.verdict.endswith(f"; mutations={len(found)}"), case
            assert through.line == origin.line, case
            assert not_of_the_bytes(through) == not_of_the_bytes(origin), case
            assert varies_by(through) == varies_by(origin) | {b"accept-encoding"}, case
            if len(content(through)) >= CODED_BYTES_MIN:
                assert through.get(b"Content-Encoding") == b"gzip", case  # which is what these visitors take
            assert through.get(b"ETag") is None or through.get(b"ETag") != origin.get(b"ETag"), case


def test_where_a_page_may_not_be_edited_it_is_untouched(corpus: Corpus, sidecar: Sidecar) -> None:
    for way in UNTOUCHABLE:
        for loaded in corpus.load(sidecar.port, "edited", way):
            assert_untouched(f"{way.__name__} {loaded.name}", loaded)


def test_a_wrong_charset_costs_an_edit_at_most(corpus: Corpus, sidecar: Sidecar) -> None:
    """GB 2312 has bytes of ASCII letters inside characters; most of these pages are not in it at all."""
    for loaded in corpus.load(sidecar.port, "edited", chinese):
        source = corpus.pages[loaded.name]
        if loaded.through.verdict.startswith("applied"):
            restored, _ = taken_out(content(loaded.through), source)
            assert restored == source, loaded.name
        else:
            assert_untouched(loaded.name, loaded)
