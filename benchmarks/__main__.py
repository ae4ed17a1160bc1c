"""`python -m benchmarks`, which is `make bench`: the benchmark of the proxy. The others are modules beside it."""

import sys

from benchmarks.proxy import main

sys.exit(main())
