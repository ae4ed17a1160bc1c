"""The words by which one request switches things off, or all others: `hero`, `mutation:ID`, `page:/offers/**`.

One parser for the sidecar's header fields, the context file of the command line, the preview and `/apply`. A word is a
module's id, or says by what is before its first colon what it names.
Counterpart: `rules.switches` asks them. Never: a visit that fails for a word; what is not understood names nothing, and
`not_understood` says which words those are.
"""

from collections.abc import Collection
from enum import StrEnum
from functools import lru_cache

from msgspec import Struct

from rules.context import Context
from rules.errors import RulesError
from rules.limits import PATTERN_CHARACTERS_MAX
from rules.model import Layer
from rules.pages import Matcher, compile_page, is_text

EVERYTHING = "*"
_LAYERS = frozenset(layer.value for layer in Layer)


class Kind(StrEnum):
    """What a word names. The value is what stands before the colon."""

    EVERYTHING = "*"
    MODULE = "module"
    MUTATION = "mutation"
    EXPERIMENT = "experiment"
    LAYER = "layer"
    PAGE = "page"


class Word(Struct, frozen=True):
    """One word that was understood."""

    text: str
    """As it came."""
    kind: Kind
    name: str
    page: Matcher | None = None
    """Of a page: whether a path is one of those."""

    def fits(
        self, mutation: str, layer: Layer, modules: Collection[str], experiments: Collection[str], path: str
    ) -> bool:
        """Whether it names the mutation with this id, in this layer, of these modules and experiments, on the page `path`."""
        match self.kind:
            case Kind.MODULE:
                return self.name in modules
            case Kind.MUTATION:
                return self.name == mutation
            case Kind.EXPERIMENT:
                return self.name in experiments
            case Kind.LAYER:
                return self.name == layer.value
            case Kind.PAGE:
                return self.page is not None and self.page(path)
        return True


class Words(Struct, frozen=True):
    """What was asked for."""

    words: tuple[Word, ...] = ()
    not_understood: tuple[str, ...] = ()

    def fitting(
        self,
        mutation: str,
        layer: Layer,
        modules: Collection[str],
        experiments: Collection[str],
        path: str,
        *,
        but: Kind | None = None,
    ) -> Word | None:
        """The first word that names the mutation, those of the kind `but` left out; None for none."""
        for word in self.words:
            if word.kind is not but and word.fits(mutation, layer, modules, experiments, path):
                return word
        return None


NO_WORDS = Words()


@lru_cache(maxsize=256)
def words_of(given: frozenset[str]) -> Words:
    """The words, sorted, and which of them are none."""
    understood: list[Word] = []
    unknown: list[str] = []
    for text in sorted(given):
        word = _word(text)
        if word is None:
            unknown.append(text)
        else:
            understood.append(word)
    return Words(tuple(understood), tuple(unknown))


def not_understood(context: Context) -> tuple[str, ...]:
    """Those words of a visit's `disabled` and `only` that name nothing, sorted."""
    if not context.disabled and context.only is None:
        return ()
    return words_of(context.disabled | (context.only or frozenset())).not_understood


def allowed() -> str:
    """How words look, for people."""
    return f"a module's id, `*`, {', '.join(f'`{prefix}:…`' for prefix in _NAMED)}; layers: {', '.join(Layer)}"


def _word(text: str) -> Word | None:
    if text == EVERYTHING:
        return Word(text, Kind.EVERYTHING, "")
    prefix, colon, name = text.partition(":")
    if not colon:
        return Word(text, Kind.MODULE, text) if text else None
    if (kind := _NAMED.get(prefix)) is None or not name:
        return None
    if kind is Kind.PAGE:
        page = _page(name)
        return None if page is None else Word(text, kind, name, page)
    return None if kind is Kind.LAYER and name not in _LAYERS else Word(text, kind, name)


_NAMED = {kind.value: kind for kind in Kind if kind is not Kind.EVERYTHING}


def _page(pattern: str) -> Matcher | None:
    if len(pattern) > PATTERN_CHARACTERS_MAX or not is_text(pattern):
        return None
    try:
        return compile_page(pattern, "$")
    except RulesError:
        return None
