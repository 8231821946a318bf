"""The service manager: units, jobs and events, over D-Bus, its private socket, or systemctl."""
