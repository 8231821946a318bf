"""Text in, text out: nothing here reads a file, a clock or the machine."""
