"""The run file: a Run on disk, written while training and readable by anyone at any time."""
