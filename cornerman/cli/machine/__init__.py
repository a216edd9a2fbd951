"""The commands about this machine and its database, one file each."""
