"""Texts as vectors that are close where texts are: hashed words and parts of words, the same on every machine for ever.

Feature hashing as in Weinberger et al. 2009 (arXiv:0902.2206), over words and over their parts of three to five
characters as in fastText (Bojanowski et al. 2017, arXiv:1607.04606). It finds other forms, compounds and misspellings of the same words; it does
not know that "cheap" and "inexpensive" mean the same, which takes a model that would have to be downloaded. Counterpart:
`index.py` stores what is made here. Never: I/O.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

import msgspec
import xxhash

DIMENSIONS = 512
TEXT_CHARACTERS_MAX = 20_000
"""What comes later in a document hardly tells what it is about."""
PART_CHARACTERS = (3, 4, 5)
WORD_WEIGHT, PART_WEIGHT = 1.0, 0.35

_WORD = re.compile(r"\w+")
_MARKUP = re.compile(r"<[^>]*>")
_SERVER_OWNED = frozenset({"createdBy", "timestamp", "version", "rollbackPointer"})


def embedded(text: str) -> list[float]:
    """A vector of DIMENSIONS numbers and length 1; of zeros where the text has no word."""
    vector = [0.0] * DIMENSIONS
    for (feature, weight), times in Counter(_features(text[:TEXT_CHARACTERS_MAX])).items():
        number = xxhash.xxh3_64_intdigest(feature.encode())
        sign = 1.0 if number >> 63 else -1.0
        vector[number % DIMENSIONS] += sign * weight * (1.0 + math.log(times))
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector] if length else vector


def words_of(content: bytes) -> str:
    """What a document says, in the words of its members: all texts in it but those that the server writes."""
    return " ".join(_texts(msgspec.json.decode(content)))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield _MARKUP.sub(" ", value)
    elif isinstance(value, dict):
        for name, member in value.items():
            if name not in _SERVER_OWNED:
                yield from _texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)


def _features(text: str) -> Iterator[tuple[str, float]]:
    plain = "".join(one for one in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(one))
    for word in _WORD.findall(plain):
        yield word, WORD_WEIGHT
        bounded = f"<{word}>"
        for size in PART_CHARACTERS:
            for start in range(len(bounded) - size + 1):
                yield bounded[start : start + size], PART_WEIGHT
