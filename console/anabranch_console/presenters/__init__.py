"""What panes show, as plain values: no terminal in here."""
