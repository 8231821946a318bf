"""Holds Claude Code settings and service limits to a declared policy."""

__version__ = "0.1.0"
