"""The collection centre: from what meters send to what is delivered and reported."""
