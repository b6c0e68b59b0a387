"""Where the tests and their programs are."""

import os

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(TESTS)
PROGRAMS = os.path.join(TESTS, "programs")
SUPPORT = os.path.join(TESTS, "support")
# For programs of their own: this package, and what the tests share.
PYTHONPATH = os.pathsep.join([ROOT, TESTS, SUPPORT])
