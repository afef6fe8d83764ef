# What the meter knows: instantaneous quantities, cumulative registers,
# identity, clock and events. Every other room meets here.
