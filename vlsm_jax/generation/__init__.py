"""Generation: from a sketch and a prompt to a script."""
