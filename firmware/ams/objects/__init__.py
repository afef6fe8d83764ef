# The meter as COSEM objects: what there is (catalogue.py), who finds them (model.py), and a file
# for each interface class. They know the meter; the protocol (ams.cosem) knows them by the model.
