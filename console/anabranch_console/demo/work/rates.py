"""Ask the operator which exchange rates to use, and note them; without an answer, go on."""

from pathlib import Path

from stage import PATIENCE_SECONDS, call, pause, tell_guide

QUESTION = "Which exchange rates shall the ledger use?"
CHOICES = ("recorded", "live")


def main() -> None:
    pause(0.3)
    tell_guide("! rates asks you something: ! goes there, v shows it, 1 or 2 answers")
    pause(0.3)
    print(QUESTION, flush=True)
    words = [word for choice in CHOICES for word in ("--choice", choice)]
    heard = call("ask", QUESTION, *words, "--wait", str(PATIENCE_SECONDS))
    answer = heard.get("answer")
    if answer is None:
        call("withdraw", str(heard.get("ticket")))
        answer = CHOICES[0]
        print(f"nobody answered within {PATIENCE_SECONDS:g} s: taking {answer}", flush=True)
        tell_guide(f"rates was not answered for {PATIENCE_SECONDS:g} s, and goes on: {answer}")
    call("state", "set", "rates", f'"{answer}"')
    Path("rates.toml").write_text(f'source = "{answer}"\neur = 1.0\nusd = 1.16\n', "utf-8")
    print(f"wrote rates.toml: {answer} rates", flush=True)


if __name__ == "__main__":
    main()
