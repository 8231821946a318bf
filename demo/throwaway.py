"""The story on a throwaway host: installed as an operator would, then everything goes wrong."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from demo.screen import Screen
from demo.witness import Witness
from tests.system import layers
from tests.system.agents import Agent
from tests.system.host import CommandFailed, Host, eventually

SETTINGS = "/home/ubuntu/.claude/settings.json"
DROP_IN = "/etc/systemd/system/jada-agent.service.d/zz-jada-configd.conf"
POLICY = Path(__file__).with_name("policy.toml")
POLICY_PLACE = "/etc/jada-configd/policy.toml"
JOURNAL = "journalctl --no-pager --output=cat --unit=jada-agent --unit=jada-configd"
WANTED = "claude-sonnet-4-6"
UNKNOWN = "claude-sonnet-4.6"  # ids have hyphens
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
        self.ask_for_what_the_agent_does_not_bear()
        self.mend_the_policy()
        self.how_things_stand()

    # Chapters

    def install(self) -> None:
        """A host as it was before: the wrong model, the system's limits."""
        version = self.host.sh("systemctl --version").splitlines()[0]
        self.screen.title("A throwaway host")
        self.screen.line(
            f"{version}, booted in {self.host.boot_seconds:.2f} s, for this demo alone"
        )
        Agent.install(
            self.host,
            switches={"AGENT_ON_MODEL": f"{UNKNOWN}=exit"},
            # It is started more often in these seconds than others are in a month.
            options={"StartLimitBurst": "20"},
        )
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
        self.settles()

    def how_things_stand(self) -> None:
        """What an operator sees."""
        self.screen.title("How things stand")
        self.type("root", "systemctl status jada-configd --no-pager --lines=5")
        self.type("root", "jada-configd status")

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
        self.expect(self.settings_say(WANTED), f"the file says {WANTED}")
        self.expect(lambda: self.agent.model == WANTED, "the agent was restarted and runs on it")
        self.settles()

    def ask_for_what_the_agent_does_not_bear(self) -> None:
        """A correction that breaks the service is taken back, and not tried again."""
        self.screen.title("A policy with a typing error: a model on which the agent crashes")
        stood, began = self.host.read_bytes(SETTINGS), self.host.sh("date +%T")
        self.type("root", f"sed -i s/{WANTED}/{UNKNOWN}/ {POLICY_PLACE}")
        self.type("root", "systemctl reload jada-configd")
        self.expect(self.settings_say(UNKNOWN), f"the file says {UNKNOWN}")
        self.expect(lambda: self.agent.starts[-1] == UNKNOWN, "the agent was restarted on it")
        self.expect(lambda: self.agent.pid == 0, "it has crashed")
        self.expect(
            lambda: self.agent.starts.count(UNKNOWN) > 1,
            "once may be chance, but systemd has started it anew, and it crashes again",
        )
        self.expect(
            lambda: self.host.read_bytes(SETTINGS) == stood,
            "the file is, byte for byte, what it was before",
        )
        self.expect(lambda: self.agent.starts[-1] == WANTED, "the agent was started on that")
        self.expect(self.is_well_again, "it has been healthy on it for 2 s")
        self.screen.line("  what both had to say of it")
        self.type("root", f"{JOURNAL} --since={began}")
        self.type("root", "jada-configd status", ok=(1,))

    def mend_the_policy(self) -> None:
        """Another policy ends what was taken back."""
        self.screen.title("The policy is mended")
        before = self.agent.pid
        self.type("root", f"sed -i s/{UNKNOWN}/{WANTED}/ {POLICY_PLACE}")
        self.type("root", "systemctl reload jada-configd")
        self.settles()
        if self.agent.pid == before:
            self.screen.line("  the agent was left alone: it runs on that already")

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

    def settles(self) -> None:
        """Wait until the service is known to be healthy on what was corrected."""
        self.expect(lambda: self.told()["state"] == "in-sync", "all is in sync")

    def told(self) -> dict[str, Any]:
        """What the daemon says of itself."""
        plain: dict[str, Any] = json.loads(self.host.read("/run/jada-configd/status.json"))
        return plain

    def is_well_again(self) -> bool:
        """Whether the service is known to be healthy on what came back."""
        (service,) = self.told()["services"]
        back = service["rolled_back"]
        return back is not None and back["healthy"] is True

    def expect(self, condition: Callable[[], bool], text: str, within: float = 10.0) -> None:
        """Wait for something, and tell how long it took."""
        began = time.monotonic()

        def holds() -> bool:
            try:
                return condition()
            except (OSError, CommandFailed, IndexError):  # may go, or be short, while we look
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

    def settings_say(self, model: str) -> Callable[[], bool]:
        """Whether the settings say a model, to be asked for as long as it takes."""
        return lambda: bool(json.loads(self.host.read(SETTINGS))["model"] == model)
