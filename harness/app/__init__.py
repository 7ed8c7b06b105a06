"""What Slotwise does, one function for each use case: what a command does is a function here, of the command's name.

A function takes what it works on and one object of options (`harness.app.options`), returns what came of it and raises
`SlotwiseError`. It prints nothing: what goes on meanwhile is told to a `Progress`. The modules are imported one by one,
because some load a second's worth of other packages; `harness.app.options` loads nothing.
"""
