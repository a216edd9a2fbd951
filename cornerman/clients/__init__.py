"""The outside: language models, their prices, Slack and the rehearsal endpoint."""
