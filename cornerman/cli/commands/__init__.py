"""The commands about runs and what comes of them, one file each."""
