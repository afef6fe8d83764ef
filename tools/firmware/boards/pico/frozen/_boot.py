# No files: behind the meter's state are the slots of firmware updates.
