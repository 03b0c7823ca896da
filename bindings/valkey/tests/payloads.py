"""Damage to bytes; payloads of DUMP: their checksum, their version."""

RDB_VERSION_OF_REDIS_7_0 = 10


def with_version(payload, version=RDB_VERSION_OF_REDIS_7_0):
    """The payload with another RDB version, which older servers refuse by number alone."""
    body = payload[:-10] + version.to_bytes(2, "little")
    return body + crc64(body).to_bytes(8, "little")


def damage(rng, data, begin=0, end=None):
    """The bytes with some changed, cut out or put in; only where `begin` <= position < `end`."""
    body = bytearray(data)
    end = len(body) if end is None else end
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(begin, end)
        kind = rng.randrange(6)
        before = len(body)
        if kind == 0:
            body[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            body[at] = rng.randrange(256)
        elif kind == 2:
            body[at:min(at + 4, end)] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\x80\x7f", b"\xff\xff\xff\x7f"))[:end - at]
        elif kind == 3:
            del body[at:min(at + rng.randrange(1, 20), end - 1)]
        elif kind == 4:
            body[at:at] = rng.randbytes(rng.randrange(1, 20))
        else:
            body[at:at] = body[at:min(end, at + rng.randrange(1, 60))]
        end += len(body) - before
    return bytes(body)


def mutate(rng, payload):
    """The payload with damage, and its checksum made right."""
    body = damage(rng, payload[:-8], 1, len(payload) - 10)
    return body + crc64(body).to_bytes(8, "little")


def crc64_table():
    """CRC-64 of Jones, reflected: what closes a dump."""
    polynomial = int(f"{0xad93d23594c935a9:064b}"[::-1], 2)
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (polynomial if crc & 1 else 0)
        table.append(crc)
    return table


CRC64 = crc64_table()


def crc64(data):
    crc = 0
    for byte in data:
        crc = CRC64[(crc ^ byte) & 255] ^ crc >> 8
    return crc
