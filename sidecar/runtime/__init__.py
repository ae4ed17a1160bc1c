"""The script for the browser, and how it is served.

Counterpart: `rules.html.island` tells it what to do. Never: a script that a page did not ask for.
"""
