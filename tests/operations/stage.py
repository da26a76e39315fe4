"""Acting on an imagined machine, and comparing what is there before and after."""

import copy
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stackctl import scenarios, settings
from stackctl.deployment import Deployment
from stackctl.errors import MachineError, NotReady, StackctlError, Undone
from stackctl.operations.backup import backup
from stackctl.operations.deploy import deploy
from stackctl.stack import Home, Manifest
from tests.operations.fake import FakeRuntime
from tests.operations.machine import Database, Files, Killed, Machine, World, files


class Silent:
    """A meter that nobody watches."""

    def expect(self, what: str, total: int) -> None:
        """Nothing."""

    def advance(self, count: int) -> None:
        """Nothing."""


METER = Silent()
# How an operation may end early.
HOW = ("fails", "is interrupted", "is killed")


@dataclass
class Stage:
    """A user at an imagined machine.

    Attributes:
        home: The user's.
        machine: The machine.
        runtime: Where stacks run on it.
        told: What operations told, a line each time.
    """

    home: Home
    machine: Machine
    runtime: FakeRuntime
    told: list[str] = field(default_factory=list)

    def progress(self, line: str) -> None:
        """What operations are given to tell what goes on."""
        self.told.append(line)

    def wanted(self, scenario: str, *flags: str) -> Deployment:
        """A stack as it is to be; flags are settings."""
        found = scenarios.load(scenario, self.home.scenarios)
        effective = settings.resolve(found, flags=flags, environment={})
        return Deployment.chosen(self.home.stack(effective.settings.name), found, effective)

    def deploy(self, scenario: str, *flags: str, check: bool = True) -> bool:
        """Deploy it; whether there was something to do."""
        wanted = self.wanted(scenario, *flags)
        return bool(deploy(wanted, progress=self.progress, timeout=1, check=check))

    def deployed(self, scenario: str, *flags: str, runs: int = 0) -> Deployment:
        """A stack that runs, with so many runs in it; how that came to be is another story."""
        self.deploy(scenario, *flags)
        found = self.recorded(self.wanted(scenario, *flags).name)
        if runs:
            self.machine.logs(found.stack, found.root, runs)
        self.begin()
        return found

    def archived(self, deployment: Deployment, name: str = "a.tar", passphrase: str = "") -> Path:
        """An archive of a stack, beside the home."""
        path = self.home.path.with_name(name)
        backup(deployment, path, meter=METER, progress=self.progress, passphrase=passphrase)
        self.begin()
        return path

    def begin(self) -> None:
        """What comes is another story."""
        self.told.clear()
        self.machine.forget_the_story()

    def recorded(self, name: str) -> Deployment:
        """A stack as it was deployed."""
        return Deployment.recorded(self.home.stack(name))

    def manifest(self, name: str) -> Manifest:
        """What is known of a stack."""
        return self.home.stack(name).require_manifest()

    def becomes(self, name: str, **values: object) -> None:
        """Have a manifest say something else."""
        stack = self.home.stack(name)
        stack.save(stack.require_manifest().with_(**values))
        self.begin()

    def goes_down(self, name: str, *services: str) -> None:
        """Services of a stack end by themselves."""
        stack = self.home.stack(name)
        self.runtime.stop(stack, services)
        self.begin()

    def database(self, name: str) -> Database:
        """What the backend store of a stack holds."""
        return self.machine.database(self.home.stack(name))

    def artifacts(self, name: str) -> dict[str, bytes]:
        """What its artifact store holds."""
        return self.machine.artifacts(self.home.stack(name))

    def now(self) -> tuple[Files, World]:
        """Everything that there is."""
        return files(self.home.path), copy.deepcopy(self.machine.world)

    @contextmanager
    def refuses(self, code: int, *words: str) -> Iterator[pytest.ExceptionInfo[StackctlError]]:
        """What is done here is refused with these words, and nothing is changed or begun."""
        before, told = self.now(), len(self.machine.done)
        with pytest.raises(StackctlError) as refusal:
            yield refusal
        assert refusal.value.exit_code == code, refusal.value
        for word in words:
            assert word in str(refusal.value)
        assert self.machine.done[told:] == []
        assert self.now() == before

    @contextmanager
    def dies(self, what: str = "", *, at: int = 1) -> Iterator[None]:
        """What is done here is killed when that is about to happen the so many-th time."""
        self.machine.kills(what, at=at)
        # What it does in its last moments goes with it, also that it calls its death by a name.
        with suppress(Killed, StackctlError):
            yield
        left = self.machine.left_behind
        assert left is not None, f"nobody died at {what} {at}"
        self.machine.revive(left)

    def early_ends(
        self, how: str, act: Callable[[], object], first: str = "", last: str = ""
    ) -> Iterator[str]:
        """Have `act` end early, at one thing after another that happens in it.

        Each time it begins with what is there now. Gives what did not happen any more. Of several
        things of a kind in a row, the first and the last are enough.

        Args:
            how: One of HOW.
            act: What is done.
            first: The first thing of interest, as it is called.
            last: The last one, likewise.
        """
        before = self.machine.keep()
        act()
        story = list(self.machine.story)
        end = story.index(last) + 1 if last else len(story)
        kinds = ["", *(moment.partition(" ")[0] for moment in story), ""]
        for at in range(story.index(first) if first else 0, end):
            if kinds[at] == kinds[at + 1] == kinds[at + 2]:
                continue
            moment = story[at]
            self.machine.revive(before)
            if how == "is killed":
                with self.dies(at=at + 1):
                    act()
            elif how == "fails":
                self.machine.fails("", NotReady(f"no {moment}"), at=at + 1)
                with pytest.raises(MachineError, match=f"no {re.escape(moment)}"):
                    act()
            else:
                self.machine.interrupts(at=at + 1)
                with pytest.raises((KeyboardInterrupt, Undone)):
                    act()
            assert how == "is killed" or self.machine.story[at] == moment
            self.begin()
            yield moment
