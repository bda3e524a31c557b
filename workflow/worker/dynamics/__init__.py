"""Molecular dynamics: how atoms move, and what is seen of it. Energies in eV, lengths in Å, times in ASE's unit."""
