"""Harmonic vibrations of a crystal: supercells with displaced atoms, and what their forces say."""
