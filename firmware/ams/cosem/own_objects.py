"""The objects that the server itself answers for: associations, security setups, counters, SAPs."""

from ams.cosem.access import EVERYBODY, KEYED, NOBODY, OPERATOR, Rights
from ams.cosem.keyring import SAP_OPERATOR

# Attribute 7 of an association, its secret, is nobody's to read.
_SECRET = {7: NOBODY}


class OwnObjects:
    """What ams.cosem.server.Server has of them."""

    def _rows(self):
        """(class, logical name, factory, rights) of what the server itself answers for."""
        everybody = Rights(EVERYBODY)
        rows = [
            (
                15,
                b"\x00\x00\x28\x00\x00\xff",
                self._current,
                Rights(EVERYBODY, calls={1: KEYED}, reads=_SECRET),
            ),
            (17, b"\x00\x00\x29\x00\x00\xff", self._sap_assignment, everybody),
        ]
        association, setup, counter_of = self._association, self._setup, self._counter
        for client in self.keyring.clients:
            rights = Rights(client.who | OPERATOR, reads=_SECRET)
            rows.append((15, bytes((0, 0, 40, 0, client.sap, 255)), association, rights))
            if client.keys is None:
                continue
            rights = Rights(client.who | OPERATOR, calls={1: client.who, 2: client.who})
            rows.append((64, bytes((0, 0, 43, 0, client.sap, 255)), setup, rights))
            counter = bytes((0, 0, 43, 1, client.sap, 255))
            rows.append((1, counter, counter_of, everybody))
        return rows

    def _current(self, ln, session):
        from ams.cosem.association_ln import AssociationLn

        if session is None:
            return AssociationLn(ln, self, None, self.keyring.client(SAP_OPERATOR))
        return AssociationLn(ln, self, session, session.client)

    def _association(self, ln, session):
        from ams.cosem.association_ln import AssociationLn

        return AssociationLn(ln, self, session, self.keyring.client(ln[4]))

    def _sap_assignment(self, ln, session):
        from ams.cosem.association_ln import SapAssignment

        return SapAssignment(ln, self.model.device_name())

    def _setup(self, ln, session):
        from ams.cosem.security_setup import SecuritySetup

        return SecuritySetup(ln, self, session, self.keyring.client(ln[4]))

    def _counter(self, ln, session):
        from ams.cosem.association_ln import Counter

        return Counter(ln, self.keyring.client(ln[4]))
