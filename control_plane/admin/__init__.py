"""The admin: pages for people at `/admin/layout-mutations`, rendered here and whole without any script.

Counterpart: `control_plane.api`, the same service for programs. Both call the same service functions, so that a page can
do nothing that the API refuses. `routes(app, services)` is the only door.
Never: SQL, a rule of its own about what a mutation may be, or a page that needs JavaScript to be useful.
"""

from control_plane.admin.mounting import routes

__all__ = ["routes"]
