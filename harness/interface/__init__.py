"""The public Python interface, as `import harness` offers it: thin functions over `harness.app`, and their results.

A function has pleasant keyword arguments where a use case has one object of options. It prints nothing and never exits;
what a user can fix is a `UserError`. docs/how-to/python.md is a worked example.
"""
