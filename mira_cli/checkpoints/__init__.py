"""Weights of a user's own: what the name says, what the file looks like, what the family finds in it."""
