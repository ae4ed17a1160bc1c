"""The data plane: a reverse proxy that changes the layout of the HTML it carries.

Counterpart: `rules` decides what changes, `control_plane` publishes it; they meet this plane in Redis only.
Never: a page lost. Whatever fails here, the visitor gets what the origin sent.
"""
