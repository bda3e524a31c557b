"""What tasks make of a model's answers about strained and scaled crystals: arithmetic that asks nobody."""
