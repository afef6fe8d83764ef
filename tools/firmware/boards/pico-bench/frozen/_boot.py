# The bench mounts no files: all it runs is frozen.
