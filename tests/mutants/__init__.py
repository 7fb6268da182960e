"""Mutation testing: small changes to the code, each of which some test must find.

``python -m tests.mutants --seed 1 --count 60 [--layer store] [--subtle]``, or ``make mutants``.
docs/why/mutants.md has the scores and what became of the survivors.

Why no library does this:

- mutmut 3 mutates the bodies of functions and methods alone. Module constants, class fields and
  the defaults of dataclasses, where most of the subtle changes lie, stay as they are. A run covers
  every mutant of the selected files: there is no sample with a seed.
- cosmic-ray runs one command for every mutant, so it cannot choose the tests by coverage.
- Neither changes Lua, and neither writes the synchronous modules again after a change of the
  asynchronous ones, so that a mutant would differ from the code which a developer would commit.

coverage.py, with one context for each test, does the part that is hard to get right: which tests
execute a line.
"""
