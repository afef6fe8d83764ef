"""The command line, a module for each group of commands; begin at main.py, whose table names all.

It may use every other room, and none uses it.
"""
