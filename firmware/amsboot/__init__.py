# Start-up: chooses the code that runs. Always that of the base: no image replaces it.
