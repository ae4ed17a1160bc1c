"""Real servers from Python wheels: PostgreSQL 18 and Valkey 9, for trying out and for tests.

`postgres` and `valkey` are one class each, with `start`, `stop`, `url` and use as a context manager. Both listen on
127.0.0.1 only, ask for a password, and keep everything in one folder. Production names its own servers with
`DATABASE_URL` and `REDIS_URL` and never comes here.
"""
