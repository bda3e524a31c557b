"""What the findings of `python -m worker.check` are worth."""
