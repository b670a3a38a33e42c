"""Who may write what: locks, their leases, and what was written against them."""
