"""What a case, a score, a battle and a price are; no input or output."""
