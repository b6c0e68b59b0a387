"""What follows a frozen file: other formats, copies elsewhere, TensorBoard."""
