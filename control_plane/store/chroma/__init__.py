"""ChromaDB: an index of documents by meaning beside any store, and a store of its own together with a SQLite file.

Needs the extra `chroma`, which is imported when an index is opened and not before. Counterpart: `store.py` is the store,
`index.py` the index. Never: a download, or a word to anybody about what is in it.
"""

from control_plane.store.chroma.index import NEEDS_EXTRA, Index, Near
from control_plane.store.chroma.store import ChromaStore

__all__ = ["NEEDS_EXTRA", "ChromaStore", "Index", "Near"]
