"""Readers of files that ASE does not read, or not as what they say; each yields frames, whose ids are given later."""
