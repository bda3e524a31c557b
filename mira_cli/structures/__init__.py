"""From the files that a user names to checked structures with an id and an identity."""
