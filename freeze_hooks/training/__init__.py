"""When frozen files are written: what hangs on a training loop."""
