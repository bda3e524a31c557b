"""What `mira doctor` looks at: each check says of one part of this machine whether a run can work with it."""
