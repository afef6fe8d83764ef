"""One meter on the bench: what `ams run` and `ams measure` put together and show.

Begin at session.py. Uses grid, lines and runtimes; the command line and the web page use it.
"""
