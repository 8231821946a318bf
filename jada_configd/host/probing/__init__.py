"""The commands that ask a service how it is; each is run by systemd, none by this process."""
