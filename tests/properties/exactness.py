"""Outside the edits every byte is the origin's: what holds for each rewritten page, whatever was asked.

Counterpart: `rules.html.edits.splice`, from whose result the original is won back here. Never: a look at what bytes mean.
"""

from itertools import pairwise

from rules.html import Rewritten


def assert_only_edits_changed(page: bytes, result: Rewritten) -> None:
    """The edits ascend inside the page, and between them the rewritten page has the page's bytes."""
    assert all(0 <= edit.start <= edit.end <= len(page) for edit in result.edits)
    assert all(before.end <= after.start for before, after in pairwise(result.edits))
    read = written = 0
    for edit in result.edits:
        kept = page[read : edit.start]
        assert result.page.startswith(kept, written)
        written += len(kept)
        assert result.page.startswith(edit.replacement, written)
        written += len(edit.replacement)
        read = edit.end
    assert result.page[written:] == page[read:]
