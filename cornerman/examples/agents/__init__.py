"""One agent in each framework, as its own documentation writes it; `cornerman init` copies them.

None of them knows Cornerman: its calls are metered by the environment.
"""
