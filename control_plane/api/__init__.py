"""The JSON API under `/api/layout-mutation`, and the endpoints that machines watch.

`routes.py` is the one table: path, role, body, answer. Counterpart: `admin/` does the same for people.
Never: a rule of its own about what a mutation may be; services decide.
"""

from control_plane.api.mounting import mount

__all__ = ["mount"]
