"""The database's shape: numbered migrations, what applies them, and what documents them.

Counterpart: `store/postgres` holds the statements that use the shape. Never: a change of shape outside a migration.
"""
