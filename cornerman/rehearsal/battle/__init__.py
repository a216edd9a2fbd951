"""The rehearsal of battles: how its agents and personas bargain, help and give way."""
