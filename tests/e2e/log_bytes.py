# SPDX-License-Identifier: BSD-3-Clause
"""The log's bytes as recovery/README.md describes them, read and written without the product's code."""
import os
import struct

BLOCK = 4096
# magic, version, crc, cluster, number, bytes, first sequence, incarnation, created, chain, epoch, node
HEADER = struct.Struct("<QIIQQQQQQIIB")
# magic, crc, bytes, count, chain, epoch, cluster, incarnation, segment, offset, first, durable,
# written, node, flags
GROUP = struct.Struct("<IIIIIIQQQQQQQBB")
GROUP_BYTES = 96
ENTRY_BYTES = 64
GROUP_MAGIC = 0x47464E53
CLUSTER_AT = 16         # of a segment header
VERSION_AT = 8
CRC_AT = 12             # of a segment header and of the identity


def _table():
    rows = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        rows.append(value)
    return rows


_TABLE = _table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def path_of(folder, number):
    return os.path.join(folder, "log", f"{number:020}.seg")


def read(path):
    with open(path, "rb") as file:
        return bytearray(file.read())


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def seal_block(block):
    """Makes the CRC of a segment header or of an identity right."""
    struct.pack_into("<I", block, CRC_AT, 0)
    struct.pack_into("<I", block, CRC_AT, crc32c(block[:BLOCK]))


def groups(data):
    """(offset, count of entries, bytes of them) of each group of a segment."""
    at = BLOCK
    while at + GROUP_BYTES <= len(data):
        magic, _, length, count = struct.unpack_from("<IIII", data, at)
        if magic != GROUP_MAGIC:
            break
        yield at, count, bytes(data[at + GROUP_BYTES:at + length])
        at += -(-length // BLOCK) * BLOCK


def entries(data):
    """The entries of a segment, each as its bytes."""
    for _, count, body in groups(data):
        at = 0
        for _ in range(count):
            payload = struct.unpack_from("<H", body, at + 56)[0]
            length = ENTRY_BYTES + -(-payload // 8) * 8
            yield body[at:at + length]
            at += length


def change_entry(entry):
    """The entry with another payload, and a CRC that fits it."""
    changed = bytearray(entry)
    changed[ENTRY_BYTES] ^= 1
    changed[0:4] = bytes(4)
    struct.pack_into("<I", changed, 0, crc32c(changed))
    return bytes(changed)


def write_log(folder, like, all_entries, per_group):
    """A log of one segment with these entries, from the header of another segment."""
    head = list(HEADER.unpack_from(like))
    body = bytearray()
    chain, sequence = 0, 1
    for first in range(0, len(all_entries), per_group):
        part = all_entries[first:first + per_group]
        length = GROUP_BYTES + sum(map(len, part))
        group = bytearray(GROUP_BYTES)
        GROUP.pack_into(group, 0, GROUP_MAGIC, 0, length, len(part), chain, head[10], head[3],
                        head[7], 1, BLOCK + len(body), sequence, sequence - 1, head[8], head[11],
                        0)
        # Each entry's CRC field, then the header in words of 8; its first word without its CRC.
        chain = crc32c(b"".join(entry[:4] for entry in part) + struct.pack("<Q", GROUP_MAGIC)
                       + bytes(group[8:]))
        struct.pack_into("<I", group, 4, chain)
        body += group + b"".join(part)
        body += bytes(-len(body) % BLOCK)
        sequence += len(part)
    block = bytearray(like[:BLOCK])
    head[4:7] = 1, BLOCK + len(body) + BLOCK, 1
    head[9] = 0
    HEADER.pack_into(block, 0, *head)
    seal_block(block)
    os.makedirs(os.path.join(folder, "log"))
    write(path_of(folder, 1), block + body + bytes(BLOCK))
