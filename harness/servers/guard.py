"""Run a command that must not outlive us: `python -I -S guard.py -- command...`. Standard library only.

The guard holds the read end of a pipe from the parent as its stdin. When that closes - the parent has
finished, crashed, or was killed - it ends the command and everything the command started: TERM to the
process group, then KILL. Parent, guard and group need no cooperation from the command itself.
"""

import os
import select
import signal
import subprocess
import sys
import time

__all__: list[str] = []

GRACE_S = 3.0


def main(command: list[str]) -> int:
    """Run `command` in this process group until it ends or stdin closes; return its exit status."""
    if os.getpgrp() != os.getpid():
        os.setpgrp()
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: told.append(number))
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write)
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - what the parent asks for
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        return 127
    while process.poll() is None and not told:
        readable, _, _ = select.select([0, wake_read], [], [])
        if wake_read in readable:
            os.read(wake_read, 4096)
        if 0 in readable and not os.read(0, 4096):
            break
    status = process.poll()
    _end_group(process)
    return 0 if status is None else status


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """End what is left of the group; the guard is in it and ignores TERM, so the last KILL takes it along."""
    os.killpg(0, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    if _others():
        os.killpg(0, signal.SIGKILL)


def _others() -> bool:
    """Tell whether anything but the guard is still in the group; where that cannot be read, assume so."""
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - no pathlib under -S
    except OSError:
        return True
    for pid in pids:
        try:
            if pid != os.getpid() and os.getpgid(pid) == os.getpgrp():
                with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - the same
                    if file.read().rsplit(")", 1)[1].split()[0] != "Z":
                        return True
        except OSError:
            continue
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[sys.argv.index("--") + 1 :]))
