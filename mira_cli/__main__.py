"""`python -m mira_cli` is `mira`."""

import sys

from mira_cli.errors import ExitCode, Interrupted
from mira_cli.signals import install


def main() -> None:
    """Run the command and exit with its code, also when it is interrupted while it still starts."""
    install()
    try:
        from mira_cli.app import main as run

        run()
    except Interrupted:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(ExitCode.INTERRUPTED)


if __name__ == "__main__":
    main()
