"""What runs and the cache hold that is not needed any more: finding it, and removing it safely."""
