"""The running counterparts of the tree's objects, one file per class."""
