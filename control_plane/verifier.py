"""The child process that gives the second opinion: selectolax may crash in here.

Counterpart: `judge.py` asks, over the wire of `child.py`. Never: imported by the service.
"""

import sys

from control_plane.child import confine, serve
from service.opinions import Case
from service.second_opinion import judged

if __name__ == "__main__":
    confine()
    serve(sys.stdin.buffer, sys.stdout.buffer, Case, judged)
