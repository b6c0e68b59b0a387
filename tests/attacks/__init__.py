"""Hostile files, each made by a small function that says what it is and what happens.

`graphs` has frozen files and graphs to freeze, `checkpoints` the files of checkpoints, `seeds` real
files that are cut short, exchanged (test_attacks.py) and broken at random (test_fuzz.py); `reader`
opens them in a process of their own, which has little memory. What remains TensorFlow's: a graph
that passes all our looks is given to its importer, which checks what attributes mean, and a graph
that is run does what its ops do: loops without end, or as much memory as its tensors take.
"""
