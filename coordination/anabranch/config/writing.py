"""The plan that ``anabranch init`` writes: twelve lines, each with a word of explanation."""

SCHEMA_FILE = "anabranch.schema.json"
"""Where the first line of a new plan expects what ``anabranch schema`` prints."""

_INITIAL_PLAN = f"""\
#:schema {SCHEMA_FILE}
version = 1                             # `anabranch schema` prints the schema for editors
name = "my-plan"                        # shown in the console and in reports

[streams]                               # each stream works in its own copy of the project
hello = "echo hello > hello.txt"        # a name and the command to run
world = "echo world > world.txt"        # streams that depend on nothing run side by side

[streams.greet]                         # a stream that needs more than a command is a table
command = "cat hello.txt world.txt"     # sees the merged work of what it depends on
depends_on = ["hello", "world"]         # waits until these have succeeded
timeout = "10m"                         # ended after this long: seconds, or "90s", "10m", "2h"
"""


def initial_plan() -> str:
    """Return the commented plan for a new project; the loader accepts it as it is."""
    return _INITIAL_PLAN
