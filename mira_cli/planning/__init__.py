"""From settings, structures and the records at hand to the jobs that are missing."""
