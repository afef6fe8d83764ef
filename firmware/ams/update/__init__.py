"""Secured firmware update: images, their transfer into a slot, the switch between slots."""
