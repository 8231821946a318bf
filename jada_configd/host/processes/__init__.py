"""Live processes: what /proc tells of them and of control groups, their limits, and prlimit(2)."""
