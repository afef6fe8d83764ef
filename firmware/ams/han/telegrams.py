"""The lines of P1 telegrams by country and maker: templates that p1.py fills in.

Sources: DSMR P1 Companion Standard 4.2.2 and 5.0.2 (Netherlands); e-MUCS P1
1.7.1 (Belgium, Fluvius); Smarty P1 1.1.3 as read by public readers
(Luxembourg); E.ON's P1 user interface of 2023 (Hungary); Swedenergy's branch
recommendation (Sweden, and Denmark after it); captured telegrams. Where a
document and a capture disagree, the capture counts.

In braces: what stands there, see p1_fields.py; the last two digits are those
before and behind the decimal point; `v` is the version. A line of a phase that the meter does not
have is left out.
"""

_TOTALS = (
    b"0-0:1.0.0({T})\n"
    b"1-0:1.8.0({A083}*kWh)\n1-0:2.8.0({A183}*kWh)\n1-0:3.8.0({A283}*%)\n1-0:4.8.0({A383}*%)\n"
    b"1-0:1.7.0({P043}*kW)\n1-0:2.7.0({P143}*kW)\n1-0:3.7.0({P243}*$)\n1-0:4.7.0({P343}*$)\n"
)
_BY_WAY = (
    b"1-0:21.7.0({p0043}*kW)\n1-0:41.7.0({p1043}*kW)\n1-0:61.7.0({p2043}*kW)\n"
    b"1-0:22.7.0({p0143}*kW)\n1-0:42.7.0({p1143}*kW)\n1-0:62.7.0({p2143}*kW)\n"
    b"1-0:23.7.0({p0243}*$)\n1-0:43.7.0({p1243}*$)\n1-0:63.7.0({p2243}*$)\n"
    b"1-0:24.7.0({p0343}*$)\n1-0:44.7.0({p1343}*$)\n1-0:64.7.0({p2343}*$)\n"
)
_BY_PHASE = (
    b"1-0:21.7.0({p0043}*kW)\n1-0:22.7.0({p0143}*kW)\n1-0:41.7.0({p1043}*kW)\n"
    b"1-0:42.7.0({p1143}*kW)\n1-0:61.7.0({p2043}*kW)\n1-0:62.7.0({p2143}*kW)\n"
    b"1-0:23.7.0({p0243}*$)\n1-0:24.7.0({p0343}*$)\n1-0:43.7.0({p1243}*$)\n"
    b"1-0:44.7.0({p1343}*$)\n1-0:63.7.0({p2243}*$)\n1-0:64.7.0({p2343}*$)\n"
)
_VOLTAGES = b"1-0:32.7.0({U031}*V)\n1-0:52.7.0({U131}*V)\n1-0:72.7.0({U231}*V)\n"
_CURRENTS = b"1-0:31.7.0({C0#}*A)\n1-0:51.7.0({C1#}*A)\n1-0:71.7.0({C2#}*A)\n"
_WAYS_2 = (
    b"1-0:21.7.0({p0023}*kW)\n1-0:41.7.0({p1023}*kW)\n1-0:61.7.0({p2023}*kW)\n"
    b"1-0:22.7.0({p0123}*kW)\n1-0:42.7.0({p1123}*kW)\n1-0:62.7.0({p2123}*kW)\n"
)
_PHASES_2 = (
    b"1-0:21.7.0({p0023}*kW)\n1-0:22.7.0({p0123}*kW)\n1-0:41.7.0({p1023}*kW)\n"
    b"1-0:42.7.0({p1123}*kW)\n1-0:61.7.0({p2023}*kW)\n1-0:62.7.0({p2123}*kW)\n"
)
_RATES = (
    b"1-0:1.8.1({R0163}*kWh)\n1-0:1.8.2({R0263}*kWh)\n"
    b"1-0:2.8.1({R1163}*kWh)\n1-0:2.8.2({R1263}*kWh)\n"
)
_RATE = b"0-0:96.14.0({t})\n"
_NOW_2 = b"1-0:1.7.0({P023}*kW)\n1-0:2.7.0({P123}*kW)\n"
_DISTURBANCES = (
    b"1-0:32.32.0({n2})\n1-0:52.32.0({n3})\n1-0:72.32.0({n4})\n"
    b"1-0:32.36.0({n5})\n1-0:52.36.0({n6})\n1-0:72.36.0({n7})\n"
)
_FAILURES = b"0-0:96.7.21({n0})\n0-0:96.7.9({n1})\n1-0:99.97.0({L})\n" + _DISTURBANCES
_DEMAND = b"1-0:1.4.0({d0})\n1-0:1.6.0{d1}\n0-0:98.1.0{d2}\n"


def _nordic(phases, unit):
    """`unit`: how the maker writes kvar."""
    lines = _TOTALS + phases + _VOLTAGES + _CURRENTS.replace(b"#", b"31")
    return lines.replace(b"%", unit + b"h").replace(b"$", unit)


def _dutch(version):
    head = b"1-3:0.2.8({v})\n0-0:1.0.0({T})\n0-0:96.1.1({I})\n" + _RATES + _RATE + _NOW_2
    if version == 40:
        head += b"0-0:17.0.0({l31}*kW)\n0-0:96.3.10({B})\n"
    head += _FAILURES
    currents = _CURRENTS.replace(b"#", b"30")
    if version < 50:
        head += b"0-0:96.13.1()\n0-0:96.13.0()\n" + currents + _PHASES_2
        return head + (b"{M2}" if version == 40 else b"{M0}")
    return head + b"0-0:96.13.0()\n" + _VOLTAGES + currents + _WAYS_2 + b"{M0}"


def _belgian(order):
    head = b"0-0:96.1.4(50217)\n0-0:96.1.1({I})\n0-0:1.0.0({T})\n" + _RATES
    head += _DEMAND + _RATE if order else _RATE + _DEMAND
    tail = b"0-0:96.3.10({B})\n0-0:17.0.0({l31}*kW)\n1-0:31.4.0({c0}*A)\n0-0:96.13.0()\n{M1}"
    return head + _NOW_2 + _WAYS_2 + _VOLTAGES + _CURRENTS.replace(b"#", b"32") + tail


def _luxembourg():
    reactive = _WAYS_2.replace(b"kW", b"kvar")
    for phase in b"246":
        for way in b"12":  # import, export
            p = b"1-0:%c%c.7.0({p%c%c23" % (phase, way, (phase >> 1) + 23, way - 1)
            q = b"1-0:%c%c.7.0({p%c%c23" % (phase, way + 2, (phase >> 1) + 23, way + 1)
            reactive = reactive.replace(p, q)
    return (
        b"1-3:0.2.8({v})\n0-0:1.0.0({T})\n0-0:42.0.0({I})\n"
        b"1-0:1.8.0({A063}*kWh)\n1-0:2.8.0({A163}*kWh)\n"
        b"1-0:3.8.0({A263}*kvarh)\n1-0:4.8.0({A363}*kvarh)\n"
        + _NOW_2
        + b"1-0:3.7.0({P223}*kvar)\n1-0:4.7.0({P323}*kvar)\n"
        b"0-0:17.0.0({l31}*kVA)\n1-0:9.7.0({S023}*kVA)\n1-0:10.7.0({S123}*kVA)\n"
        b"1-1:31.4.0({c0}*A)(-{c0}*A)\n0-0:96.3.10({B})\n0-1:96.3.10(0)\n0-2:96.3.10(0)\n"
        b"0-0:96.7.21({n0})\n"
        + _DISTURBANCES
        + b"0-0:96.13.0()\n0-0:96.13.2()\n0-0:96.13.3()\n0-0:96.13.4()\n0-0:96.13.5()\n"
        + _VOLTAGES
        + _CURRENTS.replace(b"#", b"30")
        + _WAYS_2
        + reactive
        + b"{M0}"
    )


def _hungarian():
    rates = b""
    for register in b"12":
        rates += b"1-0:%c.8.0({A%c63}*kWh)\n" % (register, register - 1)
        for rate in b"1234":
            rates += b"1-0:%c.8.%c({R%c%c63}*kWh)\n" % (register, rate, register - 1, rate)
    for register in b"345678":
        rates += b"1-0:%c.8.0({A%c63}*kvarh)\n" % (register, register - 1)
    quadrants = b""
    for quadrant in b"1234":
        quadrants += b"1-0:%c.7.0({Q%c23}*kvar)\n" % (quadrant + 4, quadrant)
    return (
        b"0-0:1.0.0({T})\n0-0:42.0.0({I})\n0-0:96.1.0({J})\n"
        + _RATE
        + b"0-0:96.3.10({B})\n0-0:17.0.0({l23}*kW)\n"
        + rates
        + b"1-0:15.8.0({X63}*kWh)\n"
        + _VOLTAGES
        + _CURRENTS.replace(b"#", b"30")
        + b"1-0:13.7.0({f3})\n1-0:33.7.0({f0})\n1-0:53.7.0({f1})\n1-0:73.7.0({f2})\n"
        b"1-0:14.7.0({F22}*Hz)\n"
        + _NOW_2
        + quadrants
        + b"1-0:31.4.0({c0}.00*A)\n1-0:51.4.0({c1}.00*A)\n1-0:71.4.0({c2}.00*A)\n0-0:96.13.0()\n"
    )


def _austrian():
    return (
        b"1-3:0.2.8({v})\n0-0:1.0.0({T})\n"
        b"1-0:1.8.0({A090}*Wh)\n1-0:1.8.1({R0190}*Wh)\n1-0:1.8.2({R0290}*Wh)\n1-0:1.7.0({P090}*W)\n"
        b"1-0:2.8.0({A190}*Wh)\n1-0:2.8.1({R1190}*Wh)\n1-0:2.8.2({R1290}*Wh)\n1-0:2.7.0({P190}*W)\n"
        b"1-0:3.8.0({A290}*varh)\n1-0:3.8.1({R2190}*varh)\n1-0:3.8.2({R2290}*varh)\n"
        b"1-0:3.7.0({P290}*var)\n"
        b"1-0:4.8.0({A390}*varh)\n1-0:4.8.1({R3190}*varh)\n1-0:4.8.2({R3290}*varh)\n"
        b"1-0:4.7.0({P390}*var)\n"
    )


def _nes():
    lines = _nordic(_BY_PHASE, b"kVAr").replace(b"{T}", b"{N}")
    for register in b"0123":
        lines = lines.replace(b"{A%c83}" % register, b"{A%c53}" % register)
    return lines


# Variant: lines, identification line (* is the meter's type), period in s, summer time.
_VARIANTS = {
    "se": (lambda: _nordic(_BY_WAY, b"kvar"), b"OAM5*", 10, False),
    "se-kamstrup": (lambda: _nordic(_BY_WAY, b"kVAr"), b"KAM5", 10, True),
    "se-landis": (lambda: _nordic(_BY_PHASE, b"kVAr"), b"LGF5E360", 10, False),
    "se-aidon": (lambda: _nordic(_BY_PHASE, b"kVAr"), b"ADN9 6534", 10, False),
    "fi": (lambda: _nordic(_BY_PHASE, b"kVAr"), b"ADN9 7534", 10, False),
    "dk": (lambda: _nordic(_BY_WAY, b"kVAr"), b"KAM5", 10, True),
    "dk-landis": (lambda: _nordic(_BY_PHASE, b"kVAr"), b"LGF5E360", 10, False),
    "dk-nes": (_nes, b"NES5:83335-3E", 10, False),
    "nl40": (lambda: _dutch(40), b"OAM5*", 10, True),
    "nl4": (lambda: _dutch(42), b"OAM5*", 10, True),
    "nl5": (lambda: _dutch(50), b"OAM5*", 1, True),
    "be": (lambda: _belgian(0), b"FLU5\\*", 1, True),
    "be-171": (lambda: _belgian(1), b"FLU5\\*", 1, True),
    "lu": (_luxembourg, b"Lux5\\*", 10, True),
    "hu": (_hungarian, b"OAM5*", 10, True),
    "at": (_austrian, b"EST5\\*", 10, True),
}
VARIANTS = ("se", "se-kamstrup", "se-landis", "se-aidon", "fi", "dk", "dk-landis", "dk-nes", "nl40",
            "nl4", "nl5", "be", "be-171", "lu", "hu", "at")  # fmt: skip


# Of P1, where a telegram names it.
VERSIONS = {"nl40": 40, "nl4": 42, "nl5": 50, "lu": 42, "at": 50}


def of(variant):
    """(lines, identification line, period in s, summer time) of a variant."""
    lines, head, period_s, summer = _VARIANTS[variant]
    return lines(), head, period_s, summer
