"""The screens: the run itself, and the dialogs over it."""
