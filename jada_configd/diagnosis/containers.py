"""What to type where whoever starts this container, or the first process, has to give more."""

from jada_configd.core.wording import escaped


def grant(container: str, capability: str) -> str:
    """How PID 1 gets a capability (`CAP_SYS_RESOURCE`)."""
    short = capability.removeprefix("CAP_")
    match container:
        case "docker" | "podman":
            return f"{container} run --cap-add {short} ..."
        case "systemd-nspawn":
            return f"systemd-nspawn --capability={capability} ..."
        case "lxc" | "lxc-libvirt":
            return f"edit the container's configuration: no lxc.cap.drop = {short.lower()}"
        case "":
            return f"start the first process with {capability}  # a container: --cap-add {short}"
        case other:
            return f"start this container with {capability}  # {escaped(other)}"


def raise_limit(container: str, limit: str, value: str) -> str:
    """How PID 1 gets a higher hard limit (limits.conf name)."""
    match container:
        case "docker" | "podman":
            return f"{container} run --ulimit {limit}={value}:{value} ..."
        case "systemd-nspawn":
            return f"systemd-nspawn --rlimit={limit.upper()}={value} ..."
        case "lxc" | "lxc-libvirt":
            return f"edit the container's configuration: lxc.prlimit.{limit} = {value}"
        case _:
            return f"start the first process with {limit} {value}  # ulimit, or its container's"
