"""The display of the case: what it shows, the lists that are paged through, and how it is drawn a
little at a time."""
