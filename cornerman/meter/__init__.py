"""The loopback endpoint through which any agent's model calls are booked and traced.

It speaks OpenAI's and Anthropic's APIs and passes requests through, never translated: each call
is priced, its worst case reserved, forwarded with the real key, and settled by its usage. One
server a process, in a thread of its own, since an agent may block the event loop of its run.
"""
