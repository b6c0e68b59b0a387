"""Hostile checkpoints of format V2. Each function returns a changed `.index` of a sound checkpoint.

The checksums are right: a bad disk never makes such files, but an attacker does. All are refused,
or frozen as TensorFlow's own reader would restore them.
"""

import struct

import google_crc32c
from tensorflow.core.protobuf import tensor_bundle_pb2

from freeze_hooks.frozen.wire import varint

MAGIC = 0xDB4775248B80FB57


def block(entries):
    """Return a block of a leveldb table, from (key, value) or (shared, rest of key, value)."""
    data = b""
    for *shared, key, value in entries:
        data += varint(shared[0] if shared else 0) + varint(len(key)) + varint(len(value))
        data += key + value
    data += struct.pack("<II", 0, 1)
    crc = google_crc32c.value(data + b"\0")
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    return data, data + b"\0" + struct.pack("<I", masked)


def table(entries, more=()):
    """Return a whole `.index` of {key: bytes}, and of further entries of its block."""
    file, handles = b"", []
    for content in (sorted(entries.items()) + list(more), []):
        data, stored = block(content)
        handles.append(varint(len(file)) + varint(len(data)))
        file += stored
    data, stored = block([(max(entries) + b"~", handles[0])])
    footer = handles[1] + varint(len(file)) + varint(len(data))
    return file + stored + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def changed(entries, key, **fields):
    """Return the index with some fields of an entry changed."""
    entry = tensor_bundle_pb2.BundleEntryProto.FromString(entries[key])
    for name, value in fields.items():
        if name == "sizes":
            del entry.shape.dim[:]
            for size in value:
                entry.shape.dim.add(size=size)
        else:
            setattr(entry, name, value)
    return table({**entries, key: entry.SerializeToString()})


def sound(entries, key):
    """The unchanged index. Read: all others are made from it."""
    return table(entries)


def terabytes(entries, key):
    """A tensor that claims 4 TB, with a length to match."""
    return changed(entries, key, sizes=[1 << 40], size=1 << 42)


def a_large_shape(entries, key):
    """A shape of 4 TB, with a length of a few bytes."""
    return changed(entries, key, sizes=[1 << 40])


def an_overflowing_shape(entries, key):
    """A shape whose number of elements is 0 in 64 bits."""
    return changed(entries, key, sizes=[1 << 32, 1 << 32], size=0)


def a_negative_shape(entries, key):
    """A shape of -2 by -1: the product is 2 elements."""
    return changed(entries, key, sizes=[-2, -1], size=8)


def a_negative_offset(entries, key):
    """An offset before the beginning of the data."""
    return changed(entries, key, offset=-4)


def a_far_offset(entries, key):
    """An offset after the end of the data."""
    return changed(entries, key, offset=1 << 62)


def a_negative_length(entries, key):
    """A length of -1, which would read to the end of the file."""
    return changed(entries, key, size=-1)


def a_missing_shard(entries, key):
    """A data file that does not exist."""
    return changed(entries, key, shard_id=7)


def a_negative_shard(entries, key):
    """A data file with a negative number."""
    return changed(entries, key, shard_id=-7)


def another_type(entries, key):
    """A number that is not a dtype."""
    return changed(entries, key, dtype=99)


def a_resource(entries, key):
    """A dtype that has no bytes."""
    return changed(entries, key, dtype=20)


def strings(entries, key):
    """Floats that claim to be strings, which begin with their lengths."""
    return changed(entries, key, dtype=7)


def a_zero_at_the_end(entries, key):
    """A byte that ends a message too early: some parsers accept it, TensorFlow's reader crashes."""
    return table({**entries, key: entries[key] + b"\0"})


def a_long_zero_at_the_end(entries, key):
    """The same zero in five bytes: parsers use 32 of its 33 bits."""
    return table({**entries, key: entries[key] + b"\x80\x80\x80\x80\x10"})


def the_end_of_a_group(entries, key):
    """The end of a group that never began; parsers behave as for the zero."""
    return table({**entries, key: entries[key] + b"\x0c"})


def a_wrong_checksum(entries, key):
    """Data that differs from what was saved."""
    return changed(entries, key, crc32c=1)


def no_header(entries, key):
    """The entry with the number of data files is missing."""
    return table({k: v for k, v in entries.items() if k})


def a_header_of_many_shards(entries, key):
    """It claims 2^31 - 1 data files; a reader looks for a file only when needed."""
    header = tensor_bundle_pb2.BundleHeaderProto.FromString(entries[b""])
    header.num_shards = (1 << 31) - 1
    return table({**entries, b"": header.SerializeToString()})


def a_key_that_leads_out(entries, key):
    """A key with `..` in it: keys are not paths. A variable is missing then: refused."""
    left = {k: v for k, v in entries.items() if k != key}
    return table({**left, b"../../" + key: entries[key]})


def a_bomb_of_keys(entries, key):
    """Each key is the key before and one letter: about 100 kB become 20 GB of keys."""
    value, long = entries[key], b"z" * 50000
    return table(entries, [(long, value)] + [(50000 + i, b"a", value) for i in range(20000)])


def a_key_of_no_text(entries, key):
    """A key that is not UTF-8."""
    return table({**entries, b"\xff\xfe" + key: entries[key]})


def a_long_number(entries, key):
    """A varint without end, which grows with each byte read."""
    good = table(entries)
    return good[:-48] + b"\xff" * 40 + good[-8:]


def a_block_behind_the_end(entries, key):
    """A block at 2^60, after the end of the file."""
    good = table(entries)
    footer = 2 * (varint(1 << 60) + varint(9))
    return good[:-48] + footer.ljust(40, b"\0") + good[-8:]
