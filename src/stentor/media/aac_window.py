"""Which window an AAC access unit has: what must agree where one encoder's units follow another's.

A decoder adds the second half of one unit's window to the first half of the next one's (ISO/IEC 14496-3, 4.6.11), so
the two must have the same shape and length, and both encoders must have heard the same sound.
"""

_SCE, _DSE, _FIL = 0, 4, 6


def window_of(unit: bytes) -> tuple[int, int] | None:
    """Return (window_sequence, window_shape) of a mono access unit (ISO/IEC 14496-3, tables 4.3, 4.5 and 4.6).

    None where it does not begin as one.
    """
    bits = int.from_bytes(unit, "big")
    left = 8 * len(unit)

    def take(count: int) -> int:
        nonlocal left
        left -= count
        return bits >> left & (1 << count) - 1

    try:
        while (element := take(3)) != _SCE:
            if element == _FIL:
                count = take(4)
                left -= 8 * (count if count < 15 else count + take(8) - 1)
            elif element == _DSE:
                aligned = take(5) & 1
                count = take(8)
                left -= 8 * (count if count < 255 else count + take(8)) + (left % 8 if aligned else 0)
            else:
                return None
        take(4 + 8 + 1)  # element_instance_tag, global_gain, ics_reserved_bit
        return take(2), take(1)
    except ValueError:  # a shift by less than nothing: the unit is cut short
        return None
