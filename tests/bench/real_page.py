"""The page of `make bench-real`."""
