"""Class 64, Security setup: the policy, and how a client's keys are changed.

Keys go in, wrapped under the master key, and never come out. A client changes
its own; the master key is the operator's to change.
"""

from ams.cosem.access import Object
from ams.cosem.axdr import ENUM
from ams.cosem.keyring import KEY_AUTHENTICATION, KEY_MASTER, KEY_UNICAST, SAP_OPERATOR
from ams.crypto.keywrap import WRAPPED_SIZE, unwrap
from ams.results import (
    HARDWARE_FAULT,
    OTHER_REASON,
    READ_WRITE_DENIED,
    TEMPORARY_FAILURE,
    TYPE_UNMATCHED,
    AccessError,
)

# Requests and responses authenticated and encrypted. There is no stronger one in suite 0.
POLICY = 0x6C
_SUITE = 0
_KEYS_MAX = 3


def unwrapped(server, association, kek, wrapped):
    """The key in a wrapping (RFC 3394). One that does not open is noted against who brought it."""
    key = unwrap(kek, wrapped)
    if key is None:
        server.note_refusal(association)
        raise AccessError(OTHER_REASON)
    return key


class SecuritySetup(Object):
    """`association` is the one that asks, `client` the one whose keys these are."""

    class_id = 64
    version = 1
    attributes = 6
    methods = 8

    def __init__(self, ln, server, association, client):
        self.ln = ln
        self._server = server
        self._association = association
        self._client = client

    def get(self, attribute, out, selection=None):
        if attribute == 2:
            out.enum(POLICY)
        elif attribute == 3:
            out.enum(_SUITE)
        elif attribute == 4:
            out.octets(self._server.title_of(self._client))
        elif attribute == 5:
            out.octets(self._server.keyring.title)
        elif attribute == 6:
            out.array(0)  # no certificates in suite 0
        else:
            raise AccessError(READ_WRITE_DENIED)

    def call(self, method, data, out, who):
        association = self._association
        if association is None or association.client is not self._client or data is None:
            raise AccessError(READ_WRITE_DENIED)
        if method == 1:
            # A policy is only ever made stronger, and this is the strongest.
            if data.integer(ENUM) != POLICY:
                self._server.note_refusal(association)
                raise AccessError(READ_WRITE_DENIED)
        elif method == 2:
            self._transfer(data)
        else:
            raise AccessError(READ_WRITE_DENIED)

    def _transfer(self, data):
        """All keys of the array, or none."""
        kek = self._server.keyring.kek()
        if kek is None:
            raise AccessError(TEMPORARY_FAILURE)
        new = {}
        for _ in range(data.array(_KEYS_MAX)):
            data.structure(2)
            which = data.integer(ENUM)
            wrapped = data.octets(WRAPPED_SIZE)
            if which in new:
                raise AccessError(TYPE_UNMATCHED)
            if which == KEY_MASTER:
                if self._client.sap != SAP_OPERATOR:
                    raise AccessError(READ_WRITE_DENIED)
            elif which not in (KEY_UNICAST, KEY_AUTHENTICATION):
                raise AccessError(READ_WRITE_DENIED)
            key = unwrapped(self._server, self._association, kek, wrapped)
            known = which != KEY_AUTHENTICATION and self._server.keyring.serves(key)
            if known or key in new.values():
                # Numbers would begin anew or be another's too, or who knows the one key would
                # know the other: wrapped keys do not say what they are for.
                raise AccessError(TYPE_UNMATCHED)
            new[which] = key
        data.end()
        if not new:
            raise AccessError(TYPE_UNMATCHED)
        try:
            self._server.change_keys(
                self._association,
                new.get(KEY_UNICAST),
                new.get(KEY_AUTHENTICATION),
                new.get(KEY_MASTER),
            )
        except OSError:
            raise AccessError(HARDWARE_FAULT)
