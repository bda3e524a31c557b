"""From what was measured about a model to verdicts: the one place with tolerances."""
