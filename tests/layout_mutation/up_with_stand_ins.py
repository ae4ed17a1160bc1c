"""`layout-mutation up` with stand-ins for the services: `up_with_stand_ins.py [options of up]`."""

import argparse
import os
import sys
from pathlib import Path

from layout_mutation import up
from layout_mutation.parts import Programs
from layout_mutation.processes import RunError

STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in.py")))
RULES = Path(__file__).with_name("stand_in_rules.json")


def main() -> int:
    parser = argparse.ArgumentParser()
    up.add_arguments(parser)
    arguments = parser.parse_args()
    try:
        options = up.options_of(arguments, os.environ)
    except RunError as error:
        parser.error(str(error))
    programs = Programs((*STAND_IN, "control_plane"), (*STAND_IN, "sidecar"), (*STAND_IN, "demo"), RULES)
    return up.bring_up(options, arguments.data_dir, os.environ, programs)


if __name__ == "__main__":
    sys.exit(main())
