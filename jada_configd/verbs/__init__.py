"""What each command does. A module is imported when its verb is asked for, and not before."""
