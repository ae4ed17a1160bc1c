"""The command line `layout-mutation`: one module per command, this one only finds it.

A command module has `EXAMPLES` (shown by --help), `add_arguments(parser)` and `run(arguments) -> exit code`. Only the
module that is asked for is imported.
Exit codes: 0 fine, 1 the answer is no, 2 wrong usage or an input that can't be used, 3 could not run.
"""

import argparse
import importlib
import os
import sys

from layout_mutation.inputs import UnusableError

COMMANDS = {
    "up": ("layout_mutation.up", "everything on this machine: databases, control plane, sidecar, a demo shop"),
    "sidecar": ("layout_mutation.planes", "the reverse proxy alone, configured by the environment"),
    "control-plane": ("layout_mutation.planes", "API and admin pages alone, configured by the environment"),
    "rewrite": ("layout_mutation.rewrite", "a page on standard input, rewritten to standard output, no server"),
    "lint": ("layout_mutation.lint", "what is wrong with a rules file, and what its author should know"),
    "migrate": ("layout_mutation.migrate", "bring the database to this version, or say what that would do"),
    "export": ("layout_mutation.export", "everything that a store holds as one file"),
    "import": ("layout_mutation.load", "a store filled from such a file, verified"),
    "move": ("layout_mutation.move", "everything of one store into another, verified; or both side by side"),
    "backup": ("layout_mutation.backup", "everything as one file, here and elsewhere; the list; a trial restore"),
    "restore": ("layout_mutation.restore", "a database filled from a backup"),
    "token": ("layout_mutation.token", "a bearer token for the API, or a sign-in link for the admin pages"),
    "audit": ("layout_mutation.audit", "whether the audit and the history were tampered with"),
    "doctor": (
        "layout_mutation.doctor.command",
        "what is wrong with this installation, or why a page can't be rewritten",
    ),
    "docs": ("layout_mutation.docs", "write the generated documentation, or check that it is fresh"),
}

EPILOG = """\
examples:
  layout-mutation up --demo
  layout-mutation up --upstream http://127.0.0.1:3000
  layout-mutation rewrite --rules examples/rules.json --explain < page.html
  layout-mutation doctor --url http://127.0.0.1:3000/

`layout-mutation COMMAND --help` has more examples.
exit codes: 0 fine, 1 the answer is no, 2 wrong usage or an input that can't be used, 3 could not run
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    arguments = _parser(words).parse_args(words)
    module = importlib.import_module(COMMANDS[arguments.command][0])
    try:
        code: int = module.run(arguments)
        sys.stdout.flush()
    except UnusableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read the output has left. What is still buffered goes nowhere, or Python complains of it at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 3
    except KeyboardInterrupt:
        return 3
    return code


def _parser(words: list[str]) -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="layout-mutation",
        description="Change server-rendered pages per visitor, at the edge.",
        epilog=EPILOG,
        formatter_class=raw,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module_name, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary, formatter_class=raw)
        if words[:1] == [name]:
            module = importlib.import_module(module_name)
            module.add_arguments(command)
            command.epilog = module.EXAMPLES
    return parser


if __name__ == "__main__":
    sys.exit(main())
