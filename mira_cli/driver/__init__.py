"""One call of `mira` on a run: who drives it, what an earlier call left in the queue, and how it is carried out."""
