"""One file a command: it reads options, calls the parts, and prints."""
