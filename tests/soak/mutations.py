"""Pages made from pages: cut, doubled, joined, with bytes turned over, in other encodings.

Counterpart: `tests.properties.markup` makes pages from nothing. Never: a page of more than `PAGE_BYTES_MAX` bytes, so that
a fuzzer tries many.
"""

import random

from tests.shared_folder import SHARED

PAGE_BYTES_MAX = 20_000
ENCODINGS = ("shift_jis", "gbk", "big5", "euc_jp", "utf-16-le", "cp1251", "gb18030")
PIECES = [
    piece.encode()
    for piece in "< > </ <! <!-- --> ]]> <b> </b> <p> </p> <table> <td> <svg> <template> <select> \" ' & \0 \r\n \r".split(
        " "
    )
]
PLAIN = b"<!doctype html><html><head><title>t</title></head><body><h1>h</h1><p class=a>x</p></body></html>"


def seeds() -> list[bytes]:
    """Pages to begin with: html5lib's documents, and the real pages or their beginnings; a plain one without `../shared`."""
    documents = [
        data.split(b"\n#errors", 1)[0]
        for path in sorted((SHARED / "conformance/html5lib/tree-construction").glob("*.dat"))
        for data in (b"\n" + path.read_bytes()).split(b"\n#data\n")[1:]
    ]
    real = [path.read_bytes()[:PAGE_BYTES_MAX] for path in sorted((SHARED / "corpus/pages").glob("*.html"))]
    return [*documents, *real] or [PLAIN]


def mutated(pages: list[bytes], choose: random.Random) -> bytes:
    """One of the pages after some mutations."""
    page = choose.choice(pages)
    for _ in range(choose.randint(1, 6)):
        page = _once(page, pages, choose)[:PAGE_BYTES_MAX]
    return page


def _once(page: bytes, pages: list[bytes], choose: random.Random) -> bytes:
    start = choose.randint(0, len(page))
    end = min(len(page), start + choose.choice((1, 2, 10, 100, 1000)))
    match choose.randrange(8):
        case 0:
            return page[:start] + page[end:]
        case 1:
            return page[:end] + page[start:end] * choose.randint(1, 20) + page[end:]
        case 2:
            other = choose.choice(pages)
            at = choose.randint(0, len(other))
            return page[:start] + other[at : at + end - start + 50] + page[end:]
        case 3:
            return page[:start] + choose.choice(PIECES) * choose.choice((1, 1, 1, 50)) + page[start:]
        case 4:
            return page[:start] + bytes(byte ^ (1 << choose.randrange(8)) for byte in page[start:end]) + page[end:]
        case 5:
            return page[:start]
        case 6:
            return page[:start] + choose.randbytes(choose.randint(1, 8)) + page[start:]
        case _:
            return page.decode("utf-8", "replace").encode(choose.choice(ENCODINGS), "replace")
