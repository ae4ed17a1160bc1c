"""How the engine is deployed: the image's parts, and tools for people at a shell.

Counterpart: Dockerfile and docker-compose.yml. Never: imported by the product itself.
"""
