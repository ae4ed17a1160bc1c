"""Backups: all that a store holds as one file of records, where such files are kept, and the way back.

Counterpart: `store` reads and writes the records, `schema` makes the tables that they go to. Never: half a file, or half
a restore.
"""
