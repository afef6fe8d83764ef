"""Elhub, the Norwegian data hub: messages, what it refuses, delivery of values, and a stand-in.

`model` is plain data, `codec` makes XML of it and back, `rules` says what Elhub would refuse and
why, `build` makes series of values and finds what has to be sent again. All of these are pure.
`soap` signs and checks, `deliver` sends what the store has, `standin` is a hub to send it to.
"""
