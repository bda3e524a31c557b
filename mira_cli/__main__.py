"""`python -m mira_cli` is `mira`."""

from mira_cli.app import main

if __name__ == "__main__":
    main()
