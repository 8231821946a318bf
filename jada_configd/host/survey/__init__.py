"""Looks around on the host for `doctor`: what it finds are the facts of `core/survey.py`.

Nothing here changes anything, not even to find out whether it could.
"""
