"""What the demonstration's programs share: their speed, and what they say to others of the run."""

import json
import os
import subprocess
import time
from typing import Any

PACE = float(os.environ.get("DEMO_PACE", "1"))
"""How many times slower than usual: somebody who looks on has to be able to follow."""
IS_FIRST_ATTEMPT = os.environ.get("ANABRANCH_ATTEMPT") == "1"
PATIENCE_SECONDS = float(os.environ.get("DEMO_PATIENCE", "1"))
"""How long to wait for a person before going on without."""
GUIDE = "guide"


def pause(seconds: float) -> None:
    """Take some time for a piece of work."""
    time.sleep(seconds * PACE)


def call(*words: str) -> dict[str, Any]:
    """Say something to the engine, and return its answer."""
    done = subprocess.run(["ab-stream", *words], capture_output=True, text=True, check=False)
    answer: dict[str, Any] = json.loads(done.stdout or "{}")
    return answer


def tell_guide(text: str) -> None:
    """Send the guide a message: it has something to show."""
    call("send", GUIDE, text)


def note(key: str, value: object) -> None:
    """Set a key of the shared state."""
    call("state", "set", key, json.dumps(value))


def hear_from(stream: str, within_seconds: int = 60) -> None:
    """Wait until another stream has written: what the two show together is then certain."""
    until = time.monotonic() + within_seconds
    while time.monotonic() < until:
        for message in call("inbox", "--wait", "2").get("messages", []):
            if message["from"] == stream:
                call("ack", str(message["id"]))
                return


def progress(status: str, share: float) -> None:
    """Say what is being done, and how much of it is."""
    call("heartbeat", "--status", status, "--progress", f"{share:.2f}")
