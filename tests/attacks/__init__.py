"""Hostile files. A small function makes each; its docstring says what it is and what happens.

`graphs` has frozen files and graphs to freeze, `checkpoints` the files of checkpoints. `seeds` has
real files, which are cut short, exchanged (test_attacks.py) or broken at random (test_fuzz.py).
`reader` opens them in a separate process with little memory. Two risks are left to TensorFlow. A
graph that passes all our checks goes to its importer, which checks the meaning of attributes. A
graph that runs does what its ops do: it may loop without end, or use as much memory as its tensors
need.
"""
