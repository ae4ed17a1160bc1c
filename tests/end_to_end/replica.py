"""`python -m tests.end_to_end.replica NAME PORT`: an origin in a process of its own, which can be killed or made to stand still.

Every page says who answers. Counterpart: `test_several_origins.py` starts it. Never: a page of more than one write.
"""

import asyncio
import sys

import structlog

from service import logs
from tests.sidecar.replicas import Replica


async def serve(name: str, port: int) -> None:
    """Serve until the process ends."""
    replica = Replica(name)
    replica.port = port
    await replica.start()
    structlog.get_logger("replica").info("listening", port=port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    logs.configure(level="info", room="replica")
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
