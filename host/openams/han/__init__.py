"""Frames of HAN ports of all makes, found, checked, deciphered and read; captures and replays.

Begin at reader.py. What a meter itself sends is the firmware's (firmware/ams/han).
"""
