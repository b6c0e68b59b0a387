"""What proves a file. It knows nothing of how files are planned, rewritten and filled, so that it
cannot make their mistakes: `tests/test_house.py` asserts what it imports."""
