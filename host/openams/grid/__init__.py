"""What the grid does to a meter: scenarios, waveforms and front ends."""
