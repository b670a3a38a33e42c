"""Commands that take words after ``--`` as they are, apart from their own arguments."""

from __future__ import annotations

import click


class WithWords(click.Command):
    """Hands what stands behind ``--`` on as ``words``; ``asked_for`` names what that is."""

    asked_for = "command"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own, words = args, list[str]()
        if "--" in args:
            cut = args.index("--")
            own, words = args[:cut], args[cut + 1 :]
            if not words:
                raise click.UsageError(f"give the {self.asked_for} after --", ctx)
        rest = super().parse_args(ctx, own)
        ctx.params["words"] = tuple(words)
        return rest
