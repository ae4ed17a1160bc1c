"""`python -m tests.soak.many_pages COUNT`: rewrites so many different small pages, and prints the resident kilobytes at each tenth.

A process of its own, so that what is measured is the rewriter's alone. Counterpart: `test_memory.py`.
"""

import json
import random
import sys

import psutil

from rules.html import rewrite
from rules.operations import Target
from tests.properties.verbs import VERBS, fitting
from tests.soak.mutations import mutated, seeds
from tests.trees import Branch

TENTHS = 10
PAGE_BYTES = 2_000


def main(count: int) -> None:
    """Every verb in turn on mutated pages, no two alike."""
    choose, process, pages = random.Random(1), psutil.Process(), [page[:PAGE_BYTES] for page in seeds()]
    document, body, paragraph = Branch("#document"), Branch("body"), Branch("p", {"class": "a", "title": "t"})
    document.add(body)
    body.add(paragraph)
    tried = [
        make(Target(selector=tag), paragraph, fitting) for make in VERBS.values() for tag in ("p", "b", "td", "div")
    ]
    operations = [operation for operation in tried if operation is not None]
    resident = []
    for number in range(count):
        rewrite(mutated(pages, choose)[:PAGE_BYTES], [operations[number % len(operations)]], charset="utf-8")
        if (number + 1) % (count // TENTHS) == 0:
            resident.append(process.memory_info().rss // 1024)
    sys.stdout.write(json.dumps(resident))


if __name__ == "__main__":
    main(int(sys.argv[1]))
