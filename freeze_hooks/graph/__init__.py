"""Pure rewriting of GraphDefs: no sessions, no files, no variables' values."""
