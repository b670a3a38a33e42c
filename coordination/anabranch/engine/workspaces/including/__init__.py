"""What git ignores but work needs: the included files of the user's checkout.

Every workspace gets them. They are listed in ``.worktreeinclude`` or by the plan's ``include``, and
ignored by git: both, or they are not taken. They are copied once, when the run begins, into a
*frozen* folder that no stream writes to. A workspace of layers shows that as its lowest layer,
below the checkout; any other gets copies. Nothing of them enters a commit of the engine's, whatever
a stream does.
"""
