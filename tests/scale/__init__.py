"""The operator beside many objects: how much it needs, and how soon it acts."""
