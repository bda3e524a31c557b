"""Where models agree and where not: statistics over tables, and over forces one structure at a time."""
