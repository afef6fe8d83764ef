"""The fault lab: what flash does to a meter whose power goes."""
