"""How makers of SML meters send: what surrounds the list, and what stands in it.

`manner(variant)` gives (maker, period in ms, transaction, file, version, form, objects):

transaction  octets of its number; what is added for the list, the close and the next; the number
             that a meter begins from
file         octets of its number, or of a fixed one: (octets, number)
version      SML version that is said, 0: none
form         letters:
             w  choices in four octets, not two
             n  the list is named; s: it is timed; r: the opening is timed too
             u  times are bare numbers; m: they take no more octets than they need
             c  so do the checks of messages
             l  the transaction is sent low octet first; f: the file's number is the time
             z  texts have a time, unit and scaler of zero
             x  the opening names the client; y: the list does; e: the client is the maker
             k  CRC-16/Kermit in place of X.25; p  four octets fill up what needs none
             0, 3, 6, 9  what form the server's number has: see server_id
objects      codes, 1-0:C.D.E*255 where less is said, each with
             /N   status in N octets;  t  its time, z  a time of zero
             =i5-1  integer (u: unsigned) of five octets (0: as few as it needs), in steps of 10**-1

Taken from what meters sent, see docs/han.md.
"""

# The lists of the EDL21 meters of 2010 on, and those of the FNN's basic meters ("mME").
_EDL = "199.130.3 0.0.9 "
_FNN = "96.50.1*1 96.1.0 "

VARIANTS = (
    "emh", "emh-iw", "emh-gw", "emh-mme", "iskra", "iskra-mt631", "landis", "dzg", "dzg-dwsb",
    "easymeter", "ebz", "holley", "holley-zdba", "itron", "apator", "smarty",
)  # fmt: skip


def manner(variant):
    """The tuple of a variant; each stays in flash until it is asked for."""
    if variant == "emh":  # eHZ-H, ED300L
        return ("EMH", 2000, (6, 1, 4, 6, 0), (6, 0), 0, "s6",
                _EDL + "1.8.0/2=i5-1 1.8.1=i5-1 1.8.2=i5-1 15.7.0=i4-1 199.130.5")  # fmt: skip
    if variant == "emh-iw":  # eHZ-I
        return ("EMH", 2000, (6, 1, 3, 6, 0), (6, 0), 0, "sn6",
                _EDL + "1.8.0/3=i5-1 1.8.1=i5-1 1.8.2=i5-1 16.7.0=i4-1 199.130.5")  # fmt: skip
    if variant == "emh-gw":  # eHZ-G, 2008
        return ("EMH", 4000, (6, 1, 2, 3, 0), (6, 0), 0, "s3",
                "199.130.3 0.0.0 1.8.1/2=i5-1 1.8.2/2=i5-1 0-0:96.1.255 1.7.0=i4-1")  # fmt: skip
    if variant == "emh-mme":  # mME4.0
        return ("EMH", 1000, (4, 1, 2, 3, 0), (4, 0), 1, "snrxy",
                _FNN + "1.8.0/3t=u8-1 36.7.0t=i4+0 56.7.0t=i4+0 76.7.0t=i4+0 "
                "16.7.0t=i4+0")  # fmt: skip
    if variant == "iskra":  # MT175
        return ("ISK", 1000, (4, 1, 2, 3, 0), (4, 0), 0, "sn9",
                _EDL + "1.8.0/4=i8-1 1.8.1=i8-1 1.8.2=i8-1 2.8.0/4=i8-1 2.8.1=i8-1 2.8.2=i8-1 "
                "16.7.0=i4+0 36.7.0=i4+0 56.7.0=i4+0 76.7.0=i4+0 199.130.5")  # fmt: skip
    if variant == "iskra-mt631":  # and MT691
        return ("ISK", 1000, (4, 1, 2, 3, 0), (4, 0), 1, "snrc",
                _FNN + "1.8.0/4=u0-1 2.8.0=u0-1 16.7.0=i0+0")  # fmt: skip
    if variant == "landis":  # E220, E320
        return ("LGZ", 1000, (4, 1, 2, 3, 0), (4, 0), 0, "snrxy",
                _FNN + "1.8.0/4t=i8-1 2.8.0t=i8-1 16.7.0=i8+0")  # fmt: skip
    if variant == "dzg":  # DVS74
        return ("DZG", 1000, (4, 1, 2, 3, 0), (1, 0x31), 2, "snrmlzp",
                _FNN + "1.8.0/3z=u0-1 2.8.0z=u0-1 16.7.0z=i0-2")  # fmt: skip
    if variant == "dzg-dwsb":  # DWSB.2TH
        return ("DZG", 1000, (4, 1, 2, 3, 0), (1, 0x31), 2, "snmlzp",
                _FNN + "1.8.0/3t=i0-1 2.8.0t=i0-1 16.7.0z=i0-2")  # fmt: skip
    if variant == "easymeter":  # Q3A
        return ("ESY", 2000, (10, 1, 2, 3, 0x4553590000 << 40), (7, 0), 0, "snxe9",
                _EDL + "1.8.0/3=i8-4 2.8.0/3=i8-4 16.7.0=i8-2 36.7.0=i8-2 56.7.0=i8-2 76.7.0=i8-2 "
                "0.0.0 32.7.0=u2-1 52.7.0=u2-1 72.7.0=u2-1")  # fmt: skip
    if variant == "ebz":  # DD3
        return ("EBZ", 1000, (4, 1, 2, 6, 0), (6, 0x65425A444433), 0, "sw9",
                _EDL + "1.8.0/3=i8-5 1.8.1=i8-5 1.8.2=i8-5 2.8.0/3=i8-5 "
                "16.7.0=i4-2 36.7.0=i4-2 56.7.0=i4-2 76.7.0=i4-2")  # fmt: skip
    if variant == "holley":  # DTZ541-BDBA
        return ("HLY", 1000, (3, 1, 2, 0, 1), (6, 0), 0, "snrwyf",
                _FNN + "1.8.0/4t=u0-1 16.7.0=i0+0")  # fmt: skip
    if variant == "holley-zdba":  # DTZ541-ZDBA
        return ("HLY", 2000, (3, 1, 2, 0, 1), (6, 0), 0, "wuf",
                _FNN + "1.8.0/4t=u0-1 2.8.0/4t=u0-1 16.7.0=i0+0 32.7.0=u0-1 52.7.0=u0-1 "
                "72.7.0=u0-1 31.7.0=u0-2 51.7.0=u0-2 71.7.0=u0-2 81.7.4=u0+0 81.7.15=u0+0 "
                "81.7.26=u0+0 14.7.0=u0-1 96.5.0=u4+0")  # fmt: skip
    if variant == "itron":  # OpenWay 3.HZ
        return ("ITR", 1000, (8, 1, 2, 3, 0), (8, 0), 0, "snrwc",
                _FNN + "1.8.0/4=u8-1 16.7.0=i4+0")  # fmt: skip
    if variant == "apator":  # Norax 3D
        return ("APA", 1000, (4, 1, 2, 3, 0), (4, 0), 0, "snrw",
                _FNN + "1.8.0/4=i8-1 2.8.0=i8-1 16.7.0=i8+0 36.7.0=i8+0 56.7.0=i8+0 76.7.0=i8+0 "
                "32.7.0=i8-1 52.7.0=i8-1 72.7.0=i8-1 31.7.0=i8-2 51.7.0=i8-2 "
                "71.7.0=i8-2")  # fmt: skip
    # DrNeuhaus SMARTY ix-130
    return ("DNT", 1000, (4, 1, 2, 3, 0), (4, 0), 0, "sn9",
            _EDL + "1.8.0/3=i8-1 1.8.1=i8-1 1.8.2=i8-1 15.7.0=u4+0 199.130.5")  # fmt: skip
