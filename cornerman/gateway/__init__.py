"""The HTTP and websocket gateway with its live page."""
