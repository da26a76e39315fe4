"""Where a stack's services run."""
