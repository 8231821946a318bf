"""The story on a throwaway host: installed as an operator would, then everything goes wrong."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from demo.screen import Screen
from demo.witness import Witness
from tests.system import layers
from tests.system.agents import Agent
from tests.system.host import CommandFailed, Host, eventually

SETTINGS = "/home/ubuntu/.claude/settings.json"
DROP_IN = "/etc/systemd/system/jada-agent.service.d/zz-jada-configd.conf"
POLICY = Path(__file__).with_name("policy.toml")
WANTED = "claude-sonnet-4-6"
BEFORE = """\
{
  "model": "claude-haiku-4-5",
  "theme": "dark",
  "statusLine": {"type": "command", "command": "~/bin/line"}
}
"""


def tell(screen: Screen) -> None:
    """Prepare, boot, and go through it all; what should have come and did not is in the screen."""
    screen.line("preparing this checkout as a wheel, with its dependencies (kept under build/)")
    installed = layers.prepare()
    with Host.boot(overlays=installed.overlays, links=installed.links) as host:
        Story(screen, host).tell()
        screen.title("Away with it")
    screen.line("the host is gone, with all that was in it; this machine is as it was")


def _is_right(content: bytes) -> bool:
    try:
        return bool(json.loads(content)["model"] == WANTED)
    except (ValueError, KeyError, TypeError):
        return False


class Story:
    """What happens on the host, one method a chapter."""

    def __init__(self, screen: Screen, host: Host) -> None:
        self.screen = screen
        self.host = host
        self.agent = Agent(host, "jada-agent.service")

    def tell(self) -> None:
        """Every chapter, in turn."""
        self.install()
        if self.screen.failures:
            return
        self.start_the_agent()
        self.edit_the_model()
        self.delete_the_file()
        self.truncate_the_file()
        self.how_things_stand()
        self.remove_the_drop_in()
        self.lower_the_limits()
        self.go_wrong_while_the_daemon_is_down()
        self.how_things_stand()

    # Chapters

    def install(self) -> None:
        """A host as it was before: the wrong model, the system's limits."""
        version = self.host.sh("systemctl --version").splitlines()[0]
        self.screen.title("A throwaway host")
        self.screen.line(
            f"{version}, booted in {self.host.boot_seconds:.2f} s, for this demo alone"
        )
        Agent.install(self.host, reloads=False)
        self.host.write(SETTINGS, BEFORE, owner="ubuntu", mode=0o600)
        self.host.write("/root/policy.toml", POLICY.read_text())
        self.type("root", f"cat {SETTINGS}")
        self.type("root", "grep -v '^#' policy.toml", cwd="/root")
        self.screen.title("Installed as an operator would")
        self.type("root", "jada-configd install --policy policy.toml --yes", cwd="/root")
        self.type("root", f"cat {SETTINGS}")

    def start_the_agent(self) -> None:
        """The service that it is all about."""
        self.screen.title("The agent starts, on the model that the policy says")
        self.type("root", "systemctl start jada-agent")
        self.type("root", "systemctl status jada-agent --no-pager --lines=1")
        self.expect(lambda: self.agent.model == WANTED, f"it runs on {WANTED}")
        self.expect(self.limits_are_right, "its process has nofile 4096:8192")

    def edit_the_model(self) -> None:
        """Somebody edits."""
        self.screen.title("Somebody edits the model")
        self.drift("ubuntu", "sed -i s/sonnet-4-6/haiku-4-5/ ~/.claude/settings.json")
        self.type("root", f"cat {SETTINGS}")

    def delete_the_file(self) -> None:
        """Somebody cleans up."""
        self.screen.title("Somebody deletes the file")
        self.drift("ubuntu", "rm ~/.claude/settings.json")
        self.type("root", f"cat {SETTINGS}")

    def truncate_the_file(self) -> None:
        """A writer dies half-way: nobody knows yet whether it goes on."""
        self.screen.title("A writer truncates the file and dies in mid-write")
        half = '{"model": "claude-haiku-4-5", "theme": "dark", "statusLi'
        self.drift("ubuntu", f"printf '{half}' > ~/.claude/settings.json")
        self.screen.line("  a file in the middle of being written is given 250 ms to become whole")
        self.type("root", f"cat {SETTINGS}")
        self.screen.line("  what was broken is kept")
        self.type("root", "cat /var/lib/jada-configd/evidence/*; echo")

    def how_things_stand(self) -> None:
        """What an operator sees."""
        self.screen.title("How things stand")
        self.type("root", "systemctl status jada-configd --no-pager --lines=5")
        self.type("root", "jada-configd status", ok=(0, 2))

    def remove_the_drop_in(self) -> None:
        """Somebody tidies /etc up."""
        self.screen.title("Somebody removes the drop-in with the limits")
        header = (DROP_IN, lambda content: content.startswith(b"#"), "it is back")
        self.drift("root", f"rm {DROP_IN}", *header)
        self.expect(
            lambda: self.host.show(self.agent.unit, "LimitNOFILE")["LimitNOFILE"] == "8192",
            "systemd has read it, and would give the service its limits again",
        )

    def lower_the_limits(self) -> None:
        """Somebody lowers what the process really has; no file tells of that."""
        self.screen.title("Somebody lowers the limits of the running process")
        before = self.agent.pid
        self.type("ubuntu", f"prlimit --pid {before} --nofile=256:")
        self.expect(self.limits_are_right, "its process has 4096:8192 again")
        self.screen.line("  no event tells of that; the sweep does, every 2 s in this policy")
        if self.agent.pid != before:
            self.screen.line("  by a restart: root lacks CAP_SYS_RESOURCE here, without which the")
            self.screen.line("  kernel lets nobody change the limits of another user's process")

    def go_wrong_while_the_daemon_is_down(self) -> None:
        """The one case in which a service has really read the wrong model."""
        self.screen.title("The model is edited and the agent restarted while the daemon is down")
        self.type("root", "systemctl stop jada-configd")
        self.type("ubuntu", "sed -i s/sonnet-4-6/haiku-4-5/ ~/.claude/settings.json")
        self.type("root", "systemctl restart jada-agent")
        self.expect(lambda: self.agent.model != WANTED, "it runs on claude-haiku-4-5")
        self.type("root", "systemctl start jada-configd")
        self.expect(self.settings_are_right, f"the file says {WANTED}")
        self.expect(lambda: self.agent.model == WANTED, "the agent was restarted and runs on it")

    # What chapters are made of

    def type(
        self, who: str, command: str, *, cwd: str | None = None, ok: tuple[int, ...] = (0,)
    ) -> None:
        """Run a command as a person would, and show it with what it says."""
        self.screen.typed(who, command)
        home = self.host.account(who).home
        columns = {"COLUMNS": "80"}
        shell = ["bash", "-c", command]
        done = self.host.run(shell, user=who, check=False, cwd=cwd or home, env=columns, timeout=60)
        self.screen.output(done.stdout + done.stderr)
        if done.returncode not in ok:
            self.screen.failed(f"`{command}` ended with {done.returncode}")

    def drift(
        self,
        who: str,
        command: str,
        path: str = SETTINGS,
        right: Callable[[bytes], bool] = _is_right,
        text: str = f"the file says {WANTED} again",
    ) -> None:
        """Have a command spoil a file, and tell how long it was wrong."""
        before = self.agent.pid
        with Witness(lambda: self.host.read_bytes(path)) as witness:
            self.type(who, command)
            wrong = witness.wrong_for(right, within=10)
        if wrong is None:
            self.screen.failed(text)
            return
        self.screen.after(wrong.seconds, text, exact=wrong.exact)
        if self.agent.pid == before:
            self.screen.line("  the agent was left alone: it has read nothing wrong")

    def expect(self, condition: Callable[[], bool], text: str, within: float = 10.0) -> None:
        """Wait for something, and tell how long it took."""
        began = time.monotonic()

        def holds() -> bool:
            try:
                return condition()
            except (OSError, CommandFailed):  # a process or a file may go while we look
                return False

        try:
            eventually(holds, within)
        except AssertionError:
            self.screen.failed(text)
        else:
            self.screen.after(time.monotonic() - began, text)

    def limits_are_right(self) -> bool:
        """Whether the main process has the limits that the policy wants."""
        return self.agent.limit("open files") == ("4096", "8192")

    def settings_are_right(self) -> bool:
        """Whether the settings say the model that the policy wants."""
        try:
            return _is_right(self.host.read_bytes(SETTINGS))
        except OSError:
            return False
