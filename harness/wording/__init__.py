"""Sentences: what is said of the facts that analysis, predictions and recommendations hold.

A module for each kind of thing that is said. Only facts are read here, nothing is computed that a program would want to
know too, and no code reads a sentence again: code that needs to know what a sentence is about asks the fact.
"""
