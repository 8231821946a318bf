"""What would keep this program from working on this host, and what would mend it.

`survey.py` has the host looked at. All else decides on the facts alone: a small function for each
check, in the module of what it is about; `examination.py` lists them. Nothing here can change
anything.
"""
