"""Models of what the store promises, held against the running program and other programs."""
