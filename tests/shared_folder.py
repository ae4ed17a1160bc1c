"""The folder `../shared` beside the project: real pages and published test cases, read in place and never copied.

A person who clones the project alone has no such folder. The tests that read it then pass at once, and the summary says
what they did not look at; that is no skip, since nothing that set-up could bring is missing.
Counterpart: every test that reads the folder carries the mark `reads_shared_folder`.
"""

import warnings
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


class SharedFolderAbsent(UserWarning):
    """Said by a test that had nothing to read."""


reads_shared_folder = pytest.mark.filterwarnings("always::tests.shared_folder.SharedFolderAbsent")


def shared_files(folder: str, pattern: str) -> list[Path]:
    """The files of `../shared/<folder>`, sorted; [] and a notice in pytest's summary if they are not there."""
    found = sorted((SHARED / folder).rglob(pattern)) if (SHARED / folder).is_dir() else []
    if not found:
        warnings.warn(f"../shared/{folder} is not there: nothing of it was tested", SharedFolderAbsent, stacklevel=2)
    return found


def tree_construction_documents() -> list[tuple[str, str]]:
    """`(file, document)` for each `#data` section of html5lib's tree construction tests; [] without the folder."""
    documents: list[tuple[str, str]] = []
    for path in shared_files("conformance/html5lib/tree-construction", "*.dat"):
        text = "\n" + path.read_bytes().decode()
        for section in text.split("\n#data\n")[1:]:
            data = section if section.startswith("#errors\n") else section.split("\n#errors\n", 1)[0]
            documents.append((path.name, "" if data.startswith("#errors\n") else data))
    return documents
