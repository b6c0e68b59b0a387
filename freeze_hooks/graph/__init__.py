"""Pure functions on GraphDefs: no sessions, no files, no variables' values."""
