"""Models that are loaded once and asked as often as one likes: each a worker in its image, behind a socket."""
