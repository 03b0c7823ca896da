"""Payloads of DUMP: their checksum, their version, and damage."""

RDB_VERSION_OF_REDIS_7_0 = 10


def with_version(payload, version=RDB_VERSION_OF_REDIS_7_0):
    """The payload with another RDB version, which older servers refuse by number alone."""
    body = payload[:-10] + version.to_bytes(2, "little")
    return body + crc64(body).to_bytes(8, "little")


def mutate(rng, payload):
    """The payload with some bytes changed, cut out or put in, and its checksum made right."""
    body = bytearray(payload[:-8])
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(1, len(body) - 2)
        kind = rng.randrange(6)
        if kind == 0:
            body[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            body[at] = rng.randrange(256)
        elif kind == 2:
            body[at:at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\x80\x7f", b"\xff\xff\xff\x7f"))
        elif kind == 3:
            del body[at:at + rng.randrange(1, 20)]
        elif kind == 4:
            body[at:at] = rng.randbytes(rng.randrange(1, 20))
        else:
            end = min(len(body) - 2, at + rng.randrange(1, 60))
            body[at:at] = body[at:end]
    return bytes(body) + crc64(body).to_bytes(8, "little")


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
