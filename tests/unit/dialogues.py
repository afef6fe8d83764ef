"""Requests and answers on the services, plain APDUs in hex; run on both VMs by test_services.

`>` is what the operator asks (it is ciphered on its way), `<` what the plain
answer is; `..` in an answer stands for any octet, `*` at its end for any rest.
`pdu` is the client's largest APDU, `bits` the conformance it proposes.
"""

import binascii

from dlms import Bench, Long, Raw

DIALOGUES = {
    "get, and what is not there": """
        > C001C1 0003 0100010800FF 02 00
        < C401C1 00 06 0001E240
        > C00142 0003 0100010800FF 03 00
        < C40142 00 0202 0F00 161E
        > C001C1 0003 0100010800FF 01 00
        < C401C1 00 0906 0100010800FF
        > C001C1 0003 0100020800FF 02 00
        < C401C1 01 04
        > C001C1 0001 0100010800FF 02 00
        < C401C1 01 09
        > C001C1 0003 0100010800FF 09 00
        < C401C1 01 04
    """,
    "get with list": """
        > C003C1 03 0003 0100010800FF 02 00 0003 0100020800FF 02 00 0003 0100010800FF 03 00
        < C403C1 03 00 06 0001E240 01 04 00 0202 0F00 161E
        > C003C1 00
        < C403C1 00
    """,
    "set": """
        > C101C1 0001 0000600100FF 02 00 0903 414243
        < C501C1 00
        > C101C1 0001 0000600100FF 02 00 06 00000000
        < C501C1 0C
        > C101C1 0003 0100010800FF 02 00 06 00000000
        < C501C1 03
        > C101C1 0001 0000600100FF 02 01 01 00 0903 414243
        < C501C1 0D
        > C104C1 02 0001 0000600100FF 02 00 0003 0100010800FF 02 00 02 0901 44 00
        < C505C1 02 00 03
        = 44
    """,
    "a set that asks for no answer": """
        > C10181 0001 0000600100FF 02 00 0902 4546
        <
        = 4546
    """,
    "set in blocks": """
        > C102C1 0001 0000600100FF 02 00 00 00000001 04 09054142
        < C502C1 00000001
        > C103C1 00 00000002 02 4344
        < C502C1 00000002
        > C103C1 01 00000003 01 45
        < C503C1 00 00000003
        = 4142434445
        > C103C1 01 00000004 01 45
        < C503C1 12 00000000
    """,
    "set in blocks, a wrong number": """
        > C102C1 0001 0000600100FF 02 00 00 00000001 04 09054142
        < C502C1 00000001
        > C103C1 01 00000003 03 434445
        < C503C1 13 00000003
        > C103C1 01 00000002 03 434445
        < C503C1 12 00000000
    """,
    "set of a list in blocks": """
        > C105C1 02 0001 0000600100FF 02 00 0003 0100010800FF 02 00 00 00000001 02 0209
        < C502C1 00000001
        > C103C1 01 00000002 04 02313200
        < C504C1 02 00 03 00000002
        = 3132
    """,
    "another request ends a set in blocks": """
        > C102C1 0001 0000600100FF 02 00 00 00000001 04 09054142
        < C502C1 00000001
        > C101C1 0001 0000600100FF 02 00 0901 46
        < C501C1 00
        > C103C1 01 00000002 03 434445
        < C503C1 12 00000000
        = 46
    """,
    "action": """
        > C301C1 0001 0000600100FF 01 00
        < C701C1 00 00
        > C301C1 0001 0000600100FF 01 01 0900
        < C701C1 00 00
        > C301C1 0003 0100010800FF 01 00
        < C701C1 03 00
        > C303C1 02 0001 0000600100FF 01 0003 0100010800FF 01 02 00 00
        < C703C1 02 00 00 03 00
    """,
    "action in blocks": """
        > C304C1 0001 0000600100FF 01 00 00000001 03 090341
        < C704C1 00000001
        > C306C1 01 00000002 02 4243
        < C701C1 00 00
        # 0903414243
        > C306C1 01 00000003 02 4243
        < C701C1 10 00
    """,
    "action whose answer does not fit; pdu 128": """
        > C301C1 0001 0000600100FF 02 01 00
        < C702C1 00 00000001 56 00 01 00 0981C8 000102*
        > C302C1 00000001
        < C702C1 00 00000002 56*
        > C302C1 00000002
        < C702C1 01 00000003 22*
        > C302C1 00000003
        < C701C1 10 00
    """,
    "get in blocks; pdu 1024": """
        > C001C1 0001 0000600100FF 02 00
        < C402C1 00 00000001 00 8203BE 0181C8 0202 0908 0000000000000000 06 00000000*
        > C002C1 00000001
        < C402C1 00 00000002 00 8203BE*
        > C002C1 00000001
        < C402C1 01 00000001 01 13
        > C002C1 00000002
        < C402C1 01 00000002 01 10
        > C002C1 00000001
        < C402C1 01 00000001 01 10
    """,
    "another request ends a get in blocks": """
        > C001C1 0001 0000600100FF 02 00
        < C402C1 00 00000001*
        > C001C1 0003 0100010800FF 02 00
        < C401C1 00 06 0001E240
        > C002C1 00000001
        < C402C1 01 00000001 01 10
    """,
    "a list in blocks; pdu 64": """
        > C003C1 02 0003 0100010800FF 02 00 0001 0000600100FF 02 00
        < C402C1 00 00000001 00 16 02 00 06 0001E240 00 0181C8*
        > C002C1 00000001
        < C402C1 00 00000002 00 16*
    """,
    "services that were not agreed; bits 000010": """
        > C001C1 0003 0100010800FF 02 00
        < C401C1 00 06 0001E240
        > C003C1 01 0003 0100010800FF 02 00
        < D80202
        > C101C1 0001 0000600100FF 02 00 0903 414243
        < D80202
        > C102C1 0001 0000600100FF 02 00 00 00000001 04 09054142
        < D80202
        > C002C1 00000001
        < D80202
        > C301C1 0001 0000600100FF 01 00
        < D80202
        > C001C1 0001 0000600100FF 02 01 01 00
        < D80202
        > C001C1 0001 0000600100FF 02 00
        < D80104
    """,
    "what is no request": """
        > C0
        < D80103
        > C004C1
        < D80202
        > C107C1
        < D80202
        > C001C1 0003 0100010800FF 02
        < D80103
        > C001C1 0003 0100010800FF 02 00 00
        < D80103
        > C308C1
        < D80202
    """,
}


def run(name):
    """Plays one dialogue; raises AssertionError where the answer is another."""
    bench = Bench()
    client = Raw(bench)
    words = name.replace(";", "").split()
    if "pdu" in words:
        client.pdu_size = int(words[words.index("pdu") + 1])
    if "bits" in words:
        # The answer to the challenge is an action: it needs no bit of its own here.
        client.conformance = int(words[words.index("bits") + 1], 16)
    client.associate()
    Long.written = b""
    Long.calls = []
    answer = None
    for line in DIALOGUES[name].strip().split("\n"):
        line = line.strip()
        text = line[1:].replace(" ", "")
        if line[0] == ">":
            request = binascii.unhexlify(text)
            answer = client.ask(request, 0xDB)
            answer = b"" if answer is None else bytes(answer)
        elif line[0] == "<":
            compare(binascii.hexlify(answer).decode().upper(), text, line)
        elif line[0] == "=":
            assert Long.written == binascii.unhexlify(text), (line, Long.written)
        elif line[0] == "#":
            assert Long.calls[-1] == binascii.unhexlify(text), (line, Long.calls)
    assert not bench.complaints, bench.complaints


def compare(got, wanted, line):
    whole = not wanted.endswith("*")
    wanted = wanted.rstrip("*")
    assert len(got) == len(wanted) if whole else len(got) >= len(wanted), (line, got)
    for at in range(len(wanted)):
        assert wanted[at] in (".", got[at]), (line, got)
