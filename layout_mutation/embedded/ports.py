"""Free ports on the loopback interface.

Never holds a port: between the answer and its use somebody else may take it, so whoever asks must cope.
"""

import socket

LOOPBACK = "127.0.0.1"
# Valkey in cluster mode also listens on port + 10000; ports below this leave room for it.
PORT_LIMIT = 55_536


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    for _ in range(100):
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port: int = probe.getsockname()[1]
        if port < PORT_LIMIT:
            return port
    raise OSError("no free port below the limit")


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on `port` now. Connections of an earlier one that still linger do not matter."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
