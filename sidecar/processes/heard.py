"""The signals that a sidecar's first process obeys; apart, since they are held back before anything else is imported.

Counterparts: `sidecar.__main__` holds them back, `door` lets them in once it can hear them. Never: another import.
"""

import signal

HEARD = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
