"""Files in directories that users own: walked to, judged, read, replaced, listed, removed."""
