"""`python -m mira_cli` is `mira`."""

from mira_cli.python_path import drop_strangers

KEEP_WHAT_IS_DONE = ("run", "submit", "resume", "retry", "images", "weights")


def main() -> None:
    """Run the command and exit with its code, also when it is interrupted while it still starts."""
    drop_strangers()
    import atexit
    import gc
    import sys

    from mira_cli.errors import ExitCode, Interrupted
    from mira_cli.signals import install

    install()
    atexit.register(gc.freeze)  # else Python looks through all objects as it ends: a fifth of a short call's time
    try:
        from mira_cli.app import main as run

        run()
    except Interrupted as stop:
        command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
        goes_on = "; the same command goes on from here" if command in KEEP_WHAT_IS_DONE else ""
        print(f"interrupted{goes_on}", file=sys.stderr)
        for hint in getattr(stop, "__notes__", ()):
            print(f"  hint: {hint}", file=sys.stderr)
        sys.exit(ExitCode.INTERRUPTED)
    except ImportError as error:  # told by hand: what tells errors may be what is missing
        import os
        import traceback

        if "--debug" in sys.argv or os.environ.get("MIRA_DEBUG"):
            traceback.print_exc()
        print(f"error: a package that MIRA needs cannot be loaded: {error}", file=sys.stderr)
        print("  hint: install MIRA again, in an environment of its own; `mira --debug …` says more", file=sys.stderr)
        sys.exit(ExitCode.ENVIRONMENT)


if __name__ == "__main__":
    main()
