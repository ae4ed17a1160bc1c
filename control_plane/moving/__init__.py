"""All that an installation knows, taken from one store to another: at a start with other settings, by hand, or as a file.

Counterpart: `store` reads and writes records, `schema` makes the tables that they go to. Never: half of it; what is not
proven to be there on the other side has not moved.
"""
