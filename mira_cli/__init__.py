"""The `mira` command: everything that runs on the host, and nothing that needs a model's own dependencies."""

__version__ = "0.1.0"
