"""`python -m freeze_hooks.cli`, for systems where the command is not on the path."""

from . import main

main()
