"""main.py of a flashed board: runs the code of the folder that `slot` names.

A switch of the code is one rename, of `slot.new` to `slot`: at every moment
there is one whole name of one whole folder.
"""

import sys


def slot():
    try:
        with open("/slot") as file:
            return file.read().strip()
    except OSError:
        return None


if __name__ == "__main__":
    name = slot()
    if name is None:
        print("openams: no code on this board: run  ams flash")
    else:
        sys.path.insert(0, "/" + name)
        __import__("main")
