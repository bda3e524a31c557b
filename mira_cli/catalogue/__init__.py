"""The table of models: what a user may ask for, and what each name means scientifically."""
