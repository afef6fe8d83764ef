"""Hardware in the loop: the same tests against emulated meters and boards on a rig."""
