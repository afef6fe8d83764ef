"""Puts the firmware on a board, and what a person does with it there."""
