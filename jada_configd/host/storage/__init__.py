"""The program's own directories: what it keeps there, and the locks that stand in them."""
