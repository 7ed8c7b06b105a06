"""What runs beside the user's code: a graph read into plain data.

The standard library alone is used here, so that it also runs in another environment, whose Python may be 3.10.
"""
