"""What both planes are as services: settings from the environment, structured logs, the names they meet under in Redis.

Counterpart: `rules`, which is pure. Never: anything that only one plane needs.
"""
