"""Decides; imports nothing that can touch the world."""
