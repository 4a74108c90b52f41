"""Commands that belong together, a module for each group."""
