"""`layout-mutation doctor`: a list of checks, and the command that goes through it."""
