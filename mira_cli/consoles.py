"""What `mira` prints on, apart from `console`, since importing rich takes longer than all that the help needs."""

from __future__ import annotations

import sys

from rich.console import Console

from mira_cli.console import PIPE_WIDTH, discard


class _Console(Console):
    """A console that a closed pipe (`| head`) silences, instead of ending the work."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        discard(self.file)


# rich obeys NO_COLOR and notices pipes by itself; a table in a file or a pipe is not folded at 80 columns
out = _Console(highlight=False, emoji=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = _Console(highlight=False, emoji=False, soft_wrap=True, stderr=True)
