"""Which of the held paths may have changed: inotify, and the mount table, behind one descriptor."""
