"""The real Linux: with `sinks/`, the only place that touches the operating system."""
