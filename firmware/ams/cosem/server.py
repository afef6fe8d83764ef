"""The xDLMS server: APDUs come in from the links and answers go out (IEC 62056-5-3).

It touches no line and knows no time but what it is told. One association to a
channel, several channels at once. What `request` gives back is good until the
next call; on channel 0, the service port, until the next of that channel.
"""

from micropython import const

from ams.cosem import acse, gbt, security
from ams.cosem.ahead import Ahead
from ams.cosem.answers import (
    NOT_ALLOWED,
    NOT_POSSIBLE,
    NOT_SUPPORTED,
    OTHER,
    PDU_TOO_LONG,
    UNKNOWN,
    ServiceError,
)
from ams.cosem.association import IDLE, OPEN, PENDING, Association, Gate
from ams.cosem.block import GATHER_SIZE
from ams.cosem.lockout import Lockout
from ams.cosem.notification import Outbox
from ams.cosem.numbers import Spent
from ams.cosem.own_objects import OwnObjects
from ams.cosem.security import Answer, Refused, Sealed
from ams.cosem.service import ACTION, Services
from ams.events.events import (
    AUTHENTICATION_FAILED,
    DECRYPTION_FAILED,
    KEYS_CHANGED,
    REPLAY_ATTACK,
)
from ams.events.token_bucket import TokenBucket

CHANNELS = const(5)  # service port and four of TCP
PDU_MAX = const(1024)
# What clients are told: some count a few octets short of what they then send.
_PDU_TOLD = const(1000)
SERVER_SAP = const(1)
_EXCEPTION = const(0xD8)
# The only thing that may be asked before the challenge is answered:
# action, class 15, 0.0.40.0.0.255, method 1.
_REPLY_TO_HLS = b"\x00\x0f\x00\x00\x28\x00\x00\xff\x01"
# Of each security event so many at once and then one in so long: guessing shall
# neither wear the flash out nor fill the log.
_NOTES = const(5)
_NOTE_EVERY_MS = const(3600000)


class Server(OwnObjects):
    """`model` has the objects, `keyring` the clients; `random(n)` gives n octets.

    `log(code, detail, extra)` enters an event: detail is the client's SAP and
    256 times the channel, extra how many were not entered before it.
    `complain(text)` takes a line about an error of our own.
    """

    def __init__(self, model, keyring, random, log, complain):
        self.model = model
        self.pdu_max = _PDU_TOLD
        self.keyring = keyring
        self._log = log
        self.complain = complain
        self._lockout = Lockout(keyring)
        self.gate = Gate(keyring, self._lockout, random, self._note, _PDU_TOLD)
        # The service port sends its answer in frames while others are served: it has its own.
        # That of the others is made when one of them comes.
        self._answers = [Answer(PDU_MAX), None]
        self._answer = self._answers[0]
        self._services = Services(model, self._answer)
        # What is said unasked is made apart from the answers, and what comes of a request that
        # wants none: an answer may still be on its way. Made for its first use.
        self._aside = None
        self._ahead = None
        self._outbox = Outbox(keyring, self._answer_aside, CHANNELS)
        self._blocks = gbt.GeneralBlocks(GATHER_SIZE, PDU_MAX)
        self.associations = [Association(channel, keyring.keep) for channel in range(CHANNELS)]
        self._notes = {}
        self._now_ms = 0
        self.faults = 0  # errors of our own
        model.extend(self._rows())

    # --- what the links call ---------------------------------------------------------

    def connected(self, channel, client_sap, server_sap):
        """A link was set up; False: nobody is there of that address."""
        self.disconnected(channel)
        return server_sap == SERVER_SAP and self.keyring.client(client_sap) is not None

    def disconnected(self, channel):
        if channel:
            # What waits for the service port stays: there whoever may speaks next.
            self._outbox.drop(channel)
        association = self.associations[channel]
        self._services.forget(association)
        self._blocks.drop(association)
        association.close()

    def request(self, channel, client_sap, server_sap, apdu, now_ms):
        """The answer to an APDU, or None. `apdu` is deciphered where it lies.

        `now_ms` is of a clock that is never set.
        """
        self._now_ms = self.keyring.now_ms = now_ms
        self._answer = self._services.out = self._answer_of(channel)
        association = self.associations[channel]
        association.now_ms = now_ms
        association.scanned = 0
        association.silent = False
        client = self.keyring.client(client_sap)
        if client is None or server_sap != SERVER_SAP or not len(apdu):
            return None
        try:
            answer = self._request(association, client, apdu)
        except ServiceError as error:
            answer = self._exception(error.state, error.error)
        except Refused as refusal:
            answer = self._refused(refusal)
        except Spent:
            # There is no number left to answer under.
            answer = self._exception(NOT_ALLOWED, OTHER)
        except Exception as error:
            # The meter goes on, whatever is wrong in here. Of a flash that takes nothing was told.
            if not getattr(error, "told", False):
                self.fault("DLMS request failed: %r" % error)
            self._services.forget(association)
            answer = self._exception(NOT_ALLOWED, OTHER)
        finally:
            self._end_failed(association)
        return None if association.silent else answer

    def _end_failed(self, association):
        """Whose proof was wrong is out, once he has been told."""
        if association.failed and not self._blocks.is_sending(association):
            self.disconnected(association.channel)

    def unconfirmed(self, channel, client_sap, server_sap, apdu, now_ms):
        """Serves an APDU that is never answered (a UI frame of HDLC), in the association there is.

        With the same rights, ciphering and counters as a request. An association is not opened
        so: nobody could prove a key without an answer.
        """
        association = self.associations[channel]
        client = self.keyring.client(client_sap)
        if association.state == IDLE or association.client is not client or not len(apdu):
            return
        if server_sap != SERVER_SAP or apdu[0] in (acse.AARQ, acse.RLRQ, gbt.TAG):
            return
        self._now_ms = association.now_ms = now_ms
        association.scanned = 0
        association.silent = True
        self._answer = self._services.out = self._answer_aside()
        try:
            self._serve(association, client, apdu, PDU_MAX)
        except (ServiceError, Refused, Spent):
            pass  # who asks so is not told
        except Exception as error:
            if not getattr(error, "told", False):
                self.fault("DLMS request failed: %r" % error)
            self._services.forget(association)
        finally:
            self._end_failed(association)

    def _answer_aside(self):
        if self._aside is None:
            self._aside = Answer(PDU_MAX)
        self._aside.size = PDU_MAX
        return self._aside

    def _answer_of(self, channel):
        which = 1 if channel else 0
        if self._answers[which] is None:
            self._answers[which] = Answer(PDU_MAX)
        return self._answers[which]

    def unasked(self, channel):
        """The SAP of the client for whom something waits that is said unasked, or None."""
        return None if self._is_engaged(channel) else self._outbox.named(channel)

    def _is_engaged(self, channel):
        """Whether an association is being opened, or a long answer is between two blocks."""
        association = self.associations[channel]
        return association.state == PENDING or association.transfer is not None

    def outgoing(self, channel, named=False):
        """What the meter has to say unasked, or None; good until the next call of this, or of
        `unconfirmed`. `named`: only what is said unasked.
        """
        if self._is_engaged(channel):
            return None
        try:
            return self._outbox.take(channel, self.associations[channel], named)
        except Spent:
            return None
        except Exception as error:
            if not getattr(error, "told", False):
                self.fault("DLMS message failed: %r" % error)
            return None

    def prepare(self, channel):
        """Something of the next block of a long answer, while the line sends the last; whether
        there was anything to do. It is for the service port, whose answers have buffers of their
        own; what goes in general blocks is cut later."""
        association = self.associations[channel]
        transfer = association.transfer
        if transfer is not None and self._blocks.owner is not association:
            if self._ahead is None:
                self._ahead = Ahead(PDU_MAX, self.keyring)
            return self._ahead.step(association, transfer)
        return False

    def fault(self, text):
        self.faults += 1
        self.complain(text)

    # --- what the meter calls --------------------------------------------------------

    def notify(self, channel, sap, write, stamp=b"", kind=0, named=False, lost=None):
        """Leaves a message for a client, see Outbox.put. It goes when its link can take it."""
        return self._outbox.put(channel, sap, write, stamp, kind, named, lost)

    # --- requests --------------------------------------------------------------------

    def _request(self, association, client, apdu):
        tag = apdu[0]
        if len(apdu) > PDU_MAX:
            raise ServiceError(NOT_ALLOWED, PDU_TOO_LONG)
        if tag == acse.AARQ:
            self.disconnected(association.channel)
            self.gate.open(association, client, apdu, self._answer, self._now_ms)
            return self._answer.plain()
        if association.state == IDLE or association.client is not client:
            raise ServiceError(NOT_ALLOWED, NOT_POSSIBLE)
        if tag == acse.RLRQ:
            return self._release(association, client, apdu)
        if tag == gbt.TAG:
            return self._in_blocks(association, client, apdu)
        return self._serve(association, client, apdu, association.pdu_size)

    def _in_blocks(self, association, client, apdu):
        if not association.conformance & acse.BLOCK_TRANSFER:
            raise ServiceError(UNKNOWN, NOT_SUPPORTED)
        blocks = self._blocks
        apdu = blocks.feed(association, apdu)
        if apdu is None:
            return blocks.out
        self._answer = self._services.out = blocks.answer
        try:
            # The answer may be as long as we can make it: it is cut afterwards.
            answer = self._serve(association, client, apdu, PDU_MAX)
        finally:
            self._answer = self._answer_of(association.channel)
        return None if answer is None else blocks.send(association, answer)

    def _serve(self, association, client, apdu, size):
        """`size`: the most octets that the answer may have."""
        tag = apdu[0]
        if security.is_ciphered(tag) != association.ciphered:
            self._note(AUTHENTICATION_FAILED, association.channel, client.sap)
            raise ServiceError(NOT_ALLOWED, NOT_POSSIBLE)
        if not association.ciphered:
            association.limit = size
            return self._answer.plain() if self._handled(association, apdu) else None
        how = security.wrapping(tag)
        association.limit = security.room(size, how)
        return self._ciphered(association, client, apdu, how)

    def _handled(self, association, apdu):
        """Serves a plain APDU; whether there is an answer, which may have been made ahead."""
        services = self._services
        services.made = None
        answered = services.handle(association, apdu)
        if services.made is not None:
            self._answer = self._answers[0] = services.out
        return answered

    def _release(self, association, client, apdu):
        """What is ciphered in it must be right: it also used up a number of the client's."""
        try:
            info = acse.release_info(apdu)
        except acse.Malformed:
            raise ServiceError(NOT_ALLOWED, OTHER)
        if association.ciphered and info is not None and len(info):
            self._unseal(association, client, client.keys, info)
        self.disconnected(association.channel)
        self._answer.begin()
        acse.write_rlre(self._answer)
        return self._answer.plain()

    def _ciphered(self, association, client, apdu, how):
        # Held here: a change of keys counts from the next request on.
        keys = client.keys
        if how in (security.DED, security.GENERAL_DEDICATED):
            keys = association.dedicated
            if keys is None:
                raise Refused(security.BAD_FORM)
        apdu = self._unseal(association, client, keys, apdu)
        if association.state == PENDING and not _is_reply_to_hls(apdu):
            raise ServiceError(NOT_ALLOWED, NOT_POSSIBLE)
        if not self._handled(association, apdu):
            return None
        transfer = association.transfer
        if transfer is not None:
            transfer.how = how
            transfer.keys = keys
        # Of a dedicated key too: nobody knows whether the client has used it before.
        counted = client.keys if how in (security.DED, security.GENERAL_DEDICATED) else keys
        answer = None
        if self._services.made is not None:
            newest = counted.next_out - 1
            answer = self._services.made.sealed(self._answer, keys, how, newest)
        if answer is None:
            number = self.keyring.take(client, counted)
            answer = self._answer.seal(keys, number, self.keyring.title, how)
        return answer

    def _unseal(self, association, client, keys, apdu):
        try:
            sealed = Sealed(apdu)
            plain = sealed.open(keys, association.title)
        except Refused:
            self._note(DECRYPTION_FAILED, association.channel, client.sap)
            raise
        if not self.keyring.accept(client, keys, sealed.number, False):
            self._note(REPLAY_ATTACK, association.channel, client.sap)
            raise Refused(security.BAD_COUNTER, keys.next_in)
        association.number = sealed.number
        # The proof changes nothing that is kept: the opening before it was entered.
        association.uncommitted = keys if association.state == OPEN else None
        return plain

    def _refused(self, refusal):
        if refusal.code == security.BAD_FORM:
            return self._exception(NOT_ALLOWED, NOT_POSSIBLE)
        answer = self._exception(NOT_ALLOWED, refusal.code)
        if refusal.code == security.BAD_COUNTER:
            self._answer.number(">I", refusal.expected, 4)
            answer = self._answer.plain()
        return answer

    def _exception(self, state, error):
        self._answer.begin()
        self._answer.raw(bytes((_EXCEPTION, state, error)))
        return self._answer.plain()

    # --- events ----------------------------------------------------------------------

    def guessed(self, channel):
        """A password where there are none."""
        self._note(AUTHENTICATION_FAILED, channel, 0)

    def _note(self, code, channel, sap):
        """Enters a security event, or counts it for the next that is entered."""
        share = self._notes.get(code)
        if share is None:
            share = self._notes[code] = TokenBucket(_NOTES, _NOTE_EVERY_MS, self._now_ms)
        meanwhile = share.take(self._now_ms)
        if meanwhile is not None:
            self._log(code, channel << 8 | sap, meanwhile)

    # --- what our objects call ---------------------------------------------------------

    def note_refusal(self, association):
        """Keys wrapped under a wrong master key, a weaker policy."""
        self._note(AUTHENTICATION_FAILED, association.channel, association.client.sap)

    def change_keys(self, association, encryption, authentication, kek):
        client = association.client
        self.keyring.transfer(client, encryption, authentication, kek)
        for other in self.associations:
            if other.client is client:
                # Dedicated keys came under the old ones, and end with them.
                other.dedicated = None
                if other is not association:
                    self.disconnected(other.channel)
        self._log(KEYS_CHANGED, client.sap, 0)

    def mechanism(self, client):
        if client.keys is not None:
            return acse.MECHANISM_GMAC
        return acse.MECHANISM_LOW if self.keyring.secret("public") else acse.MECHANISM_NONE

    def status(self, client):
        """0 not associated, 1 pending, 2 associated: the most that any channel has."""
        status = IDLE
        for association in self.associations:
            if association.client is client:
                status = max(status, association.state)
        return status

    def title_of(self, client):
        for association in self.associations:
            if association.client is client and association.title is not None:
                return association.title
        return client.title or bytes(8)

    def is_open(self, channel):
        return self.associations[channel].state == OPEN


def _is_reply_to_hls(apdu):
    return (
        len(apdu) > 12 and apdu[0] == ACTION and apdu[1] == 1 and bytes(apdu[3:12]) == _REPLY_TO_HLS
    )
