"""`python -m openams` is `ams`."""

from openams.entry import main

if __name__ == "__main__":
    main()
