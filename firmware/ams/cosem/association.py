"""Associations: who may open one and how (IEC 62056-5-3; HLS mechanism 5, GMAC).

The public client opens without ciphering, and with a password if one is set.
Every other one must cipher, with keys of its own, from its first octet, and
prove them once more on a fresh challenge before anything is served.
"""

import struct

from micropython import const

from ams.cosem import acse, security
from ams.cosem.axdr import Writer
from ams.cosem.keyring import Keys
from ams.crypto.gcm import equal
from ams.events.events import AUTHENTICATION_FAILED, DECRYPTION_FAILED, REPLAY_ATTACK
from ams.results import READ_WRITE_DENIED, TYPE_UNMATCHED, AccessError

IDLE = const(0)
PENDING = const(1)  # the client has yet to answer the challenge
OPEN = const(2)

CHALLENGE_SIZE = const(16)
# The least that a client may take (IEC 62056-5-3, initiateError pdu-size-too-short). Ciphered it is
# too little for most answers: those then go in general blocks.
PDU_MIN = const(12)
_PROOF_SIZE = const(17)


class Association:
    """What one channel has agreed with the client that uses it."""

    def __init__(self, channel, keep=None):
        self.channel = channel
        self.silent = False  # the request that is being served wants no answer
        self._keep = keep
        self.close()

    def commit(self):
        """Called before anything is changed: the number of the request is kept first."""
        if self.uncommitted is not None:
            keys, self.uncommitted = self.uncommitted, None
            self._keep(self.client, keys, self.number)

    def close(self):
        self.state = IDLE
        self.client = None
        self.sap = 0
        self.made_ms = 0  # when it was opened for good, by the links' clock
        self.who = 0
        self.conformance = 0
        self.pdu_size = 0  # the longest APDU that the client takes
        self.limit = 0  # and of the plain one, as the request that is being served came
        self.title = None  # of the client
        self.ciphered = False
        self.mechanism = acse.MECHANISM_NONE
        self.dedicated = None  # Keys of this association alone
        self.challenge = None  # ours, until it is answered
        self.client_challenge = None
        self.opened_with = 0  # counter of the opening
        self.number = 0  # counter of the request that is being served
        self.uncommitted = None  # the keys that it came under, while it has changed nothing
        self.failed = False  # to be closed once the answer is made
        self.transfer = None
        self.now_ms = 0  # of the request that is being served
        self.scanned = 0  # rows that it has looked through so far


class Gate:
    """Opens associations. `random(n)` gives octets that nobody can guess.

    `note(code, channel, sap)` enters an event.
    """

    def __init__(self, keyring, lockout, random, note, pdu_max):
        self._keyring = keyring
        self._lockout = lockout
        self._random = random
        self._note = note
        self._pdu_max = pdu_max

    def open(self, association, client, apdu, out, now_ms):
        """Answers an AARQ in `out`.

        Raises security.Refused(BAD_COUNTER) when only the counter is wrong.
        """
        out.begin()
        try:
            aarq = acse.Aarq(apdu)
        except acse.Malformed:
            self._refuse(out, client, acse.NO_REASON)
            return
        if client.keys is None:
            self._open_public(association, client, aarq, out, now_ms)
        else:
            self._open_keyed(association, client, aarq, out, now_ms)

    def _refuse(self, out, client, diagnostic, transient=False, error=0):
        context = acse.CONTEXT_LN if client.keys is None else acse.CONTEXT_LN_CIPHERED
        result = acse.REJECTED_TRANSIENT if transient else acse.REJECTED
        why = None
        if error:
            why = Writer(4)
            acse.write_initiate_error(why, error)
            why = why.view()
        out.begin()
        acse.write_aare(out, context, result, diagnostic, None, 0, None, why)

    def _fail(self, association, client, out, now_ms, transient=False):
        """A key or password that is not the right one."""
        self._lockout.failed(association.channel, client, now_ms)
        self._note(AUTHENTICATION_FAILED, association.channel, client.sap)
        self._refuse(out, client, acse.AUTHENTICATION_FAILURE, transient)

    # --- public --------------------------------------------------------------------

    def _open_public(self, association, client, aarq, out, now_ms):
        password = self._keyring.secret("public")
        wanted = acse.MECHANISM_LOW if password else acse.MECHANISM_NONE
        mechanism = aarq.mechanism or acse.MECHANISM_NONE
        if aarq.context != acse.CONTEXT_LN:
            return self._refuse(out, client, acse.CONTEXT_NOT_SUPPORTED)
        if mechanism != wanted:
            named = aarq.mechanism is not None
            missing = acse.AUTHENTICATION_REQUIRED if password else acse.MECHANISM_NOT_RECOGNISED
            return self._refuse(out, client, acse.MECHANISM_NOT_RECOGNISED if named else missing)
        if password:
            if self._lockout.closed(association.channel, client, now_ms):
                return self._fail(association, client, out, now_ms, True)
            if aarq.secret is None or not equal(aarq.secret, password):
                return self._fail(association, client, out, now_ms)
            self._lockout.passed(association.channel, client, now_ms)
        initiate = self._initiate(association, client, aarq.user_info, out)
        if initiate is None:
            return None
        self._agree(association, client, initiate)
        association.mechanism = wanted
        association.state = OPEN
        association.made_ms = association.now_ms
        info = self._initiate_response(association)
        out.begin()
        acse.write_aare(
            out, acse.CONTEXT_LN, acse.ACCEPTED, acse.NULL, self._keyring.title, 0, None, info
        )
        return None

    # --- keyed ---------------------------------------------------------------------

    def _open_keyed(self, association, client, aarq, out, now_ms):
        if aarq.context != acse.CONTEXT_LN_CIPHERED:
            return self._refuse(out, client, acse.CONTEXT_NOT_SUPPORTED)
        if aarq.mechanism is None:
            return self._refuse(out, client, acse.MECHANISM_REQUIRED)
        if aarq.mechanism != acse.MECHANISM_GMAC:
            return self._refuse(out, client, acse.MECHANISM_NOT_RECOGNISED)
        title = None if aarq.title is None else bytes(aarq.title)
        # A client with our own title could have us answer our own challenge.
        if (
            title is None
            or len(title) != 8
            or title == self._keyring.title
            or (client.title is not None and client.title != title)
        ):
            self._lockout.failed(association.channel, client, now_ms)
            self._note(AUTHENTICATION_FAILED, association.channel, client.sap)
            return self._refuse(out, client, acse.TITLE_NOT_RECOGNISED)
        secret = aarq.secret
        if secret is None or not acse.CHALLENGE_MIN <= len(secret) <= acse.CHALLENGE_MAX:
            return self._fail(association, client, out, now_ms)
        closed = self._lockout.closed(association.channel, client, now_ms)
        info = aarq.user_info
        try:
            if info is None or not len(info):
                raise security.Refused(security.BAD_FORM)
            sealed = security.Sealed(info)
            if sealed.tag not in (security.GLO_INITIATE_REQUEST, security.GENERAL_GLO):
                raise security.Refused(security.BAD_FORM)
            plain = sealed.open(client.keys, title)
        except security.Refused:
            self._note(DECRYPTION_FAILED, association.channel, client.sap)
            return self._fail(association, client, out, now_ms, closed)
        if not self._keyring.accept(client, client.keys, sealed.number, True):
            self._note(REPLAY_ATTACK, association.channel, client.sap)
            raise security.Refused(security.BAD_COUNTER, client.keys.next_in)
        initiate = self._initiate(association, client, plain, out)
        if initiate is None:
            return None
        dedicated = initiate.dedicated_key
        # The counters of a dedicated key begin anew: it is none of those that last.
        if dedicated is not None and (len(dedicated) != 16 or self._keyring.serves(dedicated)):
            return self._refuse(out, client, acse.NO_REASON, error=acse.REFUSED_BY_VDE)
        self._agree(association, client, initiate)
        association.ciphered = True
        association.mechanism = acse.MECHANISM_GMAC
        association.title = title
        association.opened_with = sealed.number
        association.client_challenge = bytes(secret)
        association.challenge = self._fresh_challenge(client, association.client_challenge)
        if dedicated is not None:
            association.dedicated = Keys(0, dedicated, client.keys.authentication)
            association.dedicated.in_force = False
        association.state = PENDING
        self._accept_keyed(association, sealed.tag, out)
        return None

    def _accept_keyed(self, association, tag, out):
        client = association.client
        number = self._keyring.take(client, client.keys)
        iv = self._keyring.title + struct.pack(">I", number)
        plain = self._initiate_response(association)
        data, auth = client.keys.gcm().encrypt(iv, client.keys.aad, plain)
        if tag == security.GENERAL_GLO:
            head = b"\xdb\x08" + self._keyring.title
        else:
            head = bytes((security.GLO_INITIATE_RESPONSE,))
        head += bytes((len(data) + security.HEAD_SIZE + len(auth), security.CONTROL))
        out.begin()
        acse.write_aare(
            out,
            acse.CONTEXT_LN_CIPHERED,
            acse.ACCEPTED,
            acse.AUTHENTICATION_REQUIRED,
            self._keyring.title,
            acse.MECHANISM_GMAC,
            association.challenge,
            head + iv[8:] + data + auth,
        )

    def _fresh_challenge(self, client, other):
        """Random octets under the client's own key and a number that never comes again.

        So a source that is worse than it should be still gives nothing twice.
        """
        while True:
            number = self._keyring.take(client, client.keys)
            iv = self._keyring.title + struct.pack(">I", number)
            challenge = bytes(client.keys.gcm().encrypt(iv, b"", self._random(CHALLENGE_SIZE))[0])
            if not equal(challenge, other):
                return challenge

    # --- both ------------------------------------------------------------------------

    def _initiate(self, association, client, data, out):
        """The InitiateRequest, or None when the refusal is in `out`."""
        try:
            initiate = acse.Initiate(data if data is not None else b"")
        except acse.Malformed:
            self._refuse(out, client, acse.NO_REASON, error=acse.REFUSED_BY_VDE)
            return None
        # Then neither AARE goes back (Green Book, 10.2.6.1).
        association.silent = not initiate.response_allowed
        error = initiate.error(PDU_MIN)
        if error:
            self._refuse(out, client, acse.NO_REASON, error=error)
            return None
        return initiate

    def _agree(self, association, client, initiate):
        association.client = client
        association.sap = client.sap
        association.who = client.who
        association.conformance = initiate.conformance & acse.SUPPORTED
        if client.keys is None:
            # Nothing of it is for the public, and it shall not take buffers from those who may.
            association.conformance &= ~(acse.PROTECTION | acse.BLOCK_TRANSFER)
        size = initiate.pdu_size or self._pdu_max
        association.pdu_size = min(size, self._pdu_max)

    def _initiate_response(self, association):
        out = Writer(16)
        acse.write_initiate_response(out, association.conformance, self._pdu_max)
        return out.view()

    def _proof_failed(self, association):
        association.failed = True
        self._lockout.failed(association.channel, association.client, association.now_ms)
        self._note(AUTHENTICATION_FAILED, association.channel, association.client.sap)

    def reply_to_challenge(self, association, proof):
        """Checks the client's answer; gives ours. Raises AccessError: the association ends.

        `proof` None: what came is none at all.
        """
        client = association.client
        challenge = association.challenge
        if association.state != PENDING or challenge is None:
            raise AccessError(READ_WRITE_DENIED)
        association.challenge = None
        if proof is None:
            self._proof_failed(association)
            raise AccessError(TYPE_UNMATCHED)
        right = len(proof) == _PROOF_SIZE and proof[0] == 0x10
        if right:
            number = struct.unpack(">I", proof[1:5])[0]
            # Some clients take a number of its own for the proof, some that of the request.
            right = association.opened_with <= number <= association.number
            expected = security.challenge_proof(client.keys, association.title, number, challenge)
            right = equal(proof, expected) and right
        if not right:
            self._proof_failed(association)
            raise AccessError(READ_WRITE_DENIED)
        self._lockout.passed(association.channel, client, association.now_ms)
        association.state = OPEN
        association.made_ms = association.now_ms
        number = self._keyring.take(client, client.keys)
        return security.challenge_proof(
            client.keys, self._keyring.title, number, association.client_challenge
        )
