"""Our Ollama-API front: an ASGI app over any engine that can generate text.

engine   the seam: one method, and what the app must know about the model
slots    N slots, first in first out
request  the JSON body of /api/chat and /api/generate, checked
reply    the bytes of chunks, final chunks and listings
app      the endpoints
canned   an engine that says fixed text, for tests and benchmarks
"""
