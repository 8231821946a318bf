"""What `install` and `uninstall` know: this very installation, the shipped files, the units.

The verbs (`verbs/installation.py`) say in which order things happen and tell the operator.
"""
