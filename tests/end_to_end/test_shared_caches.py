"""Shared caches around the sidecar: what they keep, for whom, for how long, and that nobody gets another visitor's page.

nginx and Varnish are Debian's, in front with the configuration of `deploy/caches`, behind as plain caches.
"""

import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from layout_mutation.embedded.ports import free_port
from sidecar.heads import codings
from tests.end_to_end.caches import ADDRESSES, nginx, nginx_cache, varnish_cache
from tests.end_to_end.stack import Sidecar, SigningKeys, alone, until
from tests.end_to_end.visitor import Answer, Line, load

PAGE = (
    b"<!doctype html><html><head><title>t</title></head><body><h1>Jam</h1>" + b"<p>quince</p>" * 400 + b"</body></html>"
)
LOADS = 400


def says(identifier: str, text: str, **fields: Any) -> dict[str, Any]:
    operation = {"verb": "setText", "target": {"selector": "h1"}, "content": {"text": text}}
    payload = {"operations": [operation]}
    return {
        "id": identifier,
        "pageSlug": f"/{identifier}.html",
        "mutationType": "set",
        "mutationPayload": payload,
        **fields,
    }


RULES = (
    says("everybody", "Everybody"),
    says("country", "Germany", conditions={"country": "DE"}),
    says("device", "Phone", conditions={"headers.x-device": "mobile"}),
    says("both", "German phone", conditions={"country": "DE", "headers.x-device": "mobile"}),
    says("language", "Deutsch", conditions={"language": "de"}),
    says("returning", "Again", conditions={"returning": True}),
    says("mixed", "Deutsch in Germany", conditions={"country": "DE", "language": "de"}),
    {
        "id": "price",
        "pageSlug": "/price.html",
        "mutationType": "variant",
        "mutationPayload": {
            "experimentId": "price",
            "variations": {"control": {"operations": []}, "new": says("x", "New price")["mutationPayload"]},
        },
    },
)
EXPERIMENT = {"id": "price", "unit": "lm_uid", "variations": [{"key": "control"}, {"key": "new"}]}
SHARED = ("everybody", "country", "device", "both", "untouched")
ALONE = ("language", "returning", "mixed", "price")


@dataclass(frozen=True)
class Person:
    """Who comes: all that rules look at."""

    country: str
    phone: bool
    language: str
    unit: str | None
    coding: str

    @property
    def fields(self) -> list[str]:
        agent = "Mozilla/5.0 (iPhone) Mobile" if self.phone else "Mozilla/5.0 (X11; Linux x86_64)"
        # What a cache folds is not the visitor's to say.
        fields = [f"User-Agent: {agent}", f"Accept-Language: {self.language}", "X-Country: DE", "X-Device: mobile"]
        fields += [f"Accept-Encoding: {self.coding}"] if self.coding else []
        return fields + ([f"Cookie: lm_uid={self.unit}"] if self.unit else [])

    def expects(self, page: str) -> set[str]:
        """The headlines that this person may see."""
        german, first = self.country == "DE", "Jam"
        match page:
            case "everybody":
                return {"Everybody"}
            case "country":
                return {"Germany" if german else first}
            case "device":
                return {"Phone" if self.phone else first}
            case "both":
                return {"German phone" if german and self.phone else first}
            case "language":
                return {"Deutsch" if self.language == "de" else first}
            case "returning":
                return {"Again" if self.unit else first}
            case "mixed":
                return {"Deutsch in Germany" if german and self.language == "de" else first}
            case "price":
                return {first, "New price"}
        return {first}


@dataclass(frozen=True)
class Place:
    """A cache, the sidecar behind it, and the origin behind that."""

    cache: int
    sidecar: Sidecar
    origin: int
    files: Path
    keys: SigningKeys


@contextmanager
def site(folder: Path, program: str, caching: str) -> Iterator[tuple[int, Path]]:
    """nginx with the pages; `caching` is its Cache-Control."""
    files = folder / "files"
    files.mkdir(mode=0o755)
    for name in (*SHARED, *ALONE):
        write(files / f"{name}.html", PAGE)
    port = free_port()
    server = f"server {{ listen 127.0.0.1:{port}; root {files}; add_header Cache-Control '{caching}'; etag on; }}"
    with nginx(
        program, folder / "origin", port, f"gzip on; gzip_types text/html; gzip_min_length 1; {server}"
    ) as served:
        yield served, files


def write(file: Path, page: bytes) -> None:
    file.write_bytes(page)
    file.chmod(0o644)


FRONTS = {"nginx": (nginx_cache, "X-Accel-Expires"), "varnish": (varnish_cache, "Surrogate-Control")}


@contextmanager
def around(
    front: str, folder: Path, missing: Callable[[str, str], str], caching: str, *, workers: int = 1
) -> Iterator[Place]:
    """Cache, sidecar and origin, with the settings that the cache's configuration asks for."""
    program = missing("nginx", "nginx")
    cache, control = FRONTS[front]
    fronting = missing("varnishd", "varnish") if front == "varnish" else program
    keys = SigningKeys()
    (folder / "sidecar").mkdir()
    given: dict[str, Any] = {
        "SIDECAR_COUNTRY_HEADER": "X-Country",
        "SIDECAR_HEADERS": "X-Device",
        "SIDECAR_TRUST_FORWARDED": "true",
        "SIDECAR_CACHE_VARIANTS": "X-Country=DE|AT|other, X-Device=mobile|desktop",
        "SIDECAR_CACHE_VARIANTS_FIELD": control,
        "SIDECAR_OPS_TOKEN": TOKEN,
    }
    with (
        site(folder, program, caching) as (origin, files),
        alone(
            folder / "sidecar", f"http://127.0.0.1:{origin}", keys, sealed(keys), workers=workers, **given
        ) as sidecar,
        cache(fronting, folder / "cache", sidecar.port) as port,
    ):
        yield Place(port, sidecar, origin, files, keys)


TOKEN = "a-secret-of-some-length"


def sealed(keys: SigningKeys) -> bytes:
    return keys.sealed(*RULES, experiments=[EXPERIMENT])


def headline_of(answer: Answer) -> str:
    coding = (answer.get(b"content-encoding") or b"").decode()
    page = codings.undo(answer.body, coding, bytes_max=1_000_000) if answer.status == 200 else answer.body
    return page.partition(b"<h1>")[2].partition(b"</h1>")[0].decode()


def somebody(chance: random.Random) -> Person:
    return Person(
        country=chance.choice(list(ADDRESSES)),
        phone=chance.random() < 0.5,
        language=chance.choice(["de", "en"]),
        unit=chance.choice([None, "unit-of-anna-01", "unit-of-bert-02", "unit-of-carl-03"]),
        coding=chance.choice(["", "gzip", "gzip, deflate, br, zstd", "br;q=0.5, gzip;q=0.4", "identity"]),
    )


class Crowd:
    """People who come through a cache, one after the other, by connections from where they are."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lines: dict[str, Line] = {}
        self.tags = ['"x"']
        """Every ETag that anybody got."""
        self.hits: Counter[str] = Counter()
        """Page -> answers that the cache gave by itself."""
        self.prices: dict[str, set[str]] = {}
        """Unit -> what it saw of the experiment."""

    def close(self) -> None:
        for line in self._lines.values():
            line.close()

    def ask(self, person: Person, page: str, *fields: str, method: str = "GET") -> Answer:
        """One visit."""
        line = self._lines.get(person.country)
        if line is None or line.over:
            if line is not None:
                line.close()
            line = self._lines[person.country] = Line(self._place.cache, ADDRESSES[person.country])
        answer = line.ask(f"/{page}.html", *person.fields, *fields, method=method)
        self.hits[page] += answer.get(b"x-cache") == b"HIT"
        if etag := answer.get(b"etag"):
            self.tags.append(etag.decode())
        return answer

    def visit(self, person: Person, page: str, chance: random.Random) -> None:
        """A visit of some kind, and whether what came is this person's."""
        kind = chance.random()
        if kind < 0.2:
            given = chance.choice(self.tags)
            answer = self.ask(person, page, f"If-None-Match: {given}")
            if answer.status == 304:  # only what this very person would get may be confirmed
                mine = self.ask(person, page).get(b"etag") or b""
                by_chance = (
                    page == "price" and person.unit is None
                )  # each visit of such a person gets a unit of its own
                assert by_chance or given.removeprefix("W/") == mine.decode().removeprefix("W/"), (page, person, answer)
                return
        elif kind < 0.3:
            answer = self.ask(person, page, method="HEAD")
        else:
            answer = self.ask(person, page, *(["Range: bytes=0-199"] if kind < 0.4 else []))
        assert answer.status in {200, 206}, (page, person, answer)
        if page in ALONE:
            assert b"private" in (answer.get(b"cache-control") or b""), (page, person, answer)
        whole = answer.status == 200 or not answer.get(b"content-encoding")
        if whole and (kind < 0.2 or kind >= 0.3):
            seen = headline_of(answer)
            assert seen in person.expects(page), (page, person, answer)
            if page == "price" and person.unit:
                self.prices.setdefault(person.unit, set()).add(seen)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("front", sorted(FRONTS))
def test_nobody_gets_another_visitors_page(front: str, server_folder: Path, missing: Callable[[str, str], str]) -> None:
    """400 visits of everybody to everything, in any order: by GET, by HEAD, with a validator of whoever, for a part."""
    chance = random.Random(front)
    with (
        around(front, server_folder, missing, "public, max-age=300", workers=2) as place,
        contextlib.closing(Crowd(place)) as crowd,
    ):
        for _ in range(LOADS):
            crowd.visit(somebody(chance), chance.choice((*SHARED, *ALONE)), chance)
    assert all(len(seen) == 1 for seen in crowd.prices.values()), crowd.prices
    assert not any(crowd.hits[page] for page in ALONE), crowd.hits
    assert all(crowd.hits[page] > 3 for page in SHARED), crowd.hits


@pytest.mark.timeout(60)
@pytest.mark.parametrize("front", sorted(FRONTS))
def test_a_variant_is_kept_once_and_says_which_it_is(
    front: str, server_folder: Path, missing: Callable[[str, str], str]
) -> None:
    with around(front, server_folder, missing, "public, max-age=300") as place:

        def ask(page: str, country: str, agent: str, *fields: str) -> tuple[bytes | None, ...]:
            with Line(place.cache, ADDRESSES[country]) as line:
                answer = line.get(f"/{page}.html", f"User-Agent: {agent}", *fields)
            assert answer.get(b"x-accel-expires") is None
            assert answer.get(b"surrogate-control") is None
            assert b"private" in (answer.get(b"cache-control") or b"")
            return answer.get(b"x-cache"), answer.get(b"x-layout-mutation-variant")

        assert ask("country", "DE", "x") == (b"MISS", b"X-Country=DE")
        assert ask("country", "DE", "Mobi", "X-Country: AT") == (b"HIT", b"X-Country=DE")
        assert ask("country", "AT", "x") == (b"MISS", b"X-Country=AT")
        assert ask("both", "AT", "Mobi") == (b"MISS", b"X-Country=AT, X-Device=mobile")
        assert ask("both", "AT", "x") == (b"MISS", b"X-Country=AT, X-Device=desktop")
        assert ask("both", "AT", "Mobi", "Cookie: lm_uid=somebody-else") == (b"HIT", b"X-Country=AT, X-Device=mobile")
        operator = load(place.cache, "/everybody.html", f"X-Layout-Mutation-Token: {TOKEN}", "X-Layout-Mutation: off")
        assert (headline_of(operator), operator.get(b"cache-control")) == ("Jam", b"no-store")
        assert headline_of(load(place.cache, "/everybody.html")) == "Everybody"


@pytest.mark.timeout(90)
@pytest.mark.parametrize("front", sorted(FRONTS))
def test_what_is_no_longer_fresh_is_asked_about_and_after_a_publish_made_anew(
    front: str, server_folder: Path, missing: Callable[[str, str], str]
) -> None:
    pages = ("everybody", "country")
    with around(front, server_folder, missing, "public, max-age=1") as place:

        def ask(page: str) -> str:
            with Line(place.cache, ADDRESSES["DE"]) as line:
                answer = line.get(f"/{page}.html")
            assert answer.status == 200
            return f"{headline_of(answer)}, {'medlar' if b'medlar' in answer.body else 'quince'}"

        def become(said: str) -> None:
            until(lambda: all(ask(page) == said for page in pages), what=said)

        first = {page: ask(page) for page in pages}
        confirmed = responses(place.sidecar, "304")

        def revalidated() -> bool:
            assert {page: ask(page) for page in pages} == first
            return responses(place.sidecar, "304") >= confirmed + len(pages)

        until(revalidated, what="a revalidation of each")
        place.sidecar.stop()
        newer = (says(page, "Newer") for page in pages)
        place.sidecar.start(place.keys.sealed(*newer, version=8))
        become("Newer, quince")
        for page in pages:
            write(place.files / f"{page}.html", PAGE.replace(b"quince", b"medlar"))
        become("Newer, medlar")


def responses(sidecar: Sidecar, status: str) -> float:
    return sum(sidecar.metric("layout_mutation_responses_total", status=status))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("behind", ["nginx", "varnish"])
def test_a_cache_between_the_sidecar_and_the_origin(
    behind: str, server_folder: Path, missing: Callable[[str, str], str]
) -> None:
    """It answers for the origin: its validators come back as they were, its Age goes on, its partial answers pass."""
    program, keys = missing("nginx", "nginx"), SigningKeys()
    (server_folder / "sidecar").mkdir()
    with site(server_folder, program, "public, max-age=300") as (origin, _):
        if behind == "nginx":
            port = free_port()
            server = (
                f"proxy_cache_path {server_folder}/between keys_zone=between:1m; server {{ listen 127.0.0.1:{port}; location / "
                f"{{ proxy_pass http://127.0.0.1:{origin}; proxy_cache between; add_header X-Cache $upstream_cache_status; }} }}"
            )
            cache = nginx(program, server_folder / "cache", port, server)
        else:
            cache = varnish_cache(missing("varnishd", "varnish"), server_folder / "cache", origin)
        with (
            cache as between,
            alone(server_folder / "sidecar", f"http://127.0.0.1:{between}", keys, sealed(keys), workers=1) as sidecar,
        ):
            for coding in ("", "gzip", "gzip, deflate, br, zstd"):
                fields = [f"Accept-Encoding: {coding}"] if coding else []
                load(sidecar.port, "/everybody.html", *fields)
                first = load(sidecar.port, "/everybody.html", *fields)
                assert (headline_of(first), first.get(b"x-cache")) == ("Everybody", b"HIT")
                assert (first.get(b"age") is not None) is (behind == "varnish")
                etag = (first.get(b"etag") or b"").decode()
                again = load(sidecar.port, "/everybody.html", *fields, f"If-None-Match: {etag}")
                assert (again.status, again.get(b"etag"), again.get(b"x-cache")) == (304, etag.encode(), b"HIT")
                passing = load(sidecar.port, "/untouched.html", *fields)
                own = (passing.get(b"etag") or b"").decode()
                assert load(sidecar.port, "/untouched.html", *fields, f"If-None-Match: {own}").status == 304
                assert load(sidecar.port, "/everybody.html", *fields, f"If-None-Match: {own}").status == 200
            part = load(sidecar.port, "/untouched.html", "Range: bytes=0-9")
            assert (part.status, part.body) == (206, PAGE[:10])
            assert load(sidecar.port, "/everybody.html", "Range: bytes=0-9").status == 200
