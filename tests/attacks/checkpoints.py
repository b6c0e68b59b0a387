"""Hostile checkpoints of format V2. Each function gives the bytes of `.index`, from a sound one's
entries, with checksums that are right: what a bad disk never makes, but a bad person does.

All are refused, or frozen as TensorFlow's own reader would restore them.
"""

import struct

import google_crc32c
from tensorflow.core.protobuf import tensor_bundle_pb2

from freeze_hooks.frozen.wire import varint

MAGIC = 0xDB4775248B80FB57


def block(entries):
    """A block of a leveldb table; each entry is (key, value), or (shared, rest of key, value)."""
    data = b""
    for *shared, key, value in entries:
        data += varint(shared[0] if shared else 0) + varint(len(key)) + varint(len(value))
        data += key + value
    data += struct.pack("<II", 0, 1)
    crc = google_crc32c.value(data + b"\0")
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    return data, data + b"\0" + struct.pack("<I", masked)


def table(entries, more=()):
    """A whole `.index` of {key: bytes}, and more entries of the block."""
    file, handles = b"", []
    for content in (sorted(entries.items()) + list(more), []):
        data, stored = block(content)
        handles.append(varint(len(file)) + varint(len(data)))
        file += stored
    data, stored = block([(max(entries) + b"~", handles[0])])
    footer = handles[1] + varint(len(file)) + varint(len(data))
    return file + stored + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def changed(entries, key, **fields):
    """The index with some fields of an entry changed."""
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
    """The index as it was. Read: this is what the others are made of."""
    return table(entries)


def terabytes(entries, key):
    """A tensor that claims 4 TB, and a length to match."""
    return changed(entries, key, sizes=[1 << 40], size=1 << 42)


def a_large_shape(entries, key):
    """A shape of 4 TB with the length of a few bytes."""
    return changed(entries, key, sizes=[1 << 40])


def an_overflowing_shape(entries, key):
    """A shape whose elements are none, counted in 64 bits."""
    return changed(entries, key, sizes=[1 << 32, 1 << 32], size=0)


def a_negative_shape(entries, key):
    """-2 by -1 elements are two."""
    return changed(entries, key, sizes=[-2, -1], size=8)


def a_negative_offset(entries, key):
    """A place before the beginning of the data."""
    return changed(entries, key, offset=-4)


def a_far_offset(entries, key):
    """A place behind the end of the data."""
    return changed(entries, key, offset=1 << 62)


def a_negative_length(entries, key):
    """It would be read to the end of the file."""
    return changed(entries, key, size=-1)


def a_missing_shard(entries, key):
    """A data file that is not there."""
    return changed(entries, key, shard_id=7)


def a_negative_shard(entries, key):
    """A data file of a name that none has."""
    return changed(entries, key, shard_id=-7)


def another_type(entries, key):
    """A number that stands for no dtype."""
    return changed(entries, key, dtype=99)


def a_resource(entries, key):
    """A dtype that has no bytes."""
    return changed(entries, key, dtype=20)


def strings(entries, key):
    """Floats that are to be read as strings, whose lengths stand in front of them."""
    return changed(entries, key, dtype=7)


def a_zero_at_the_end(entries, key):
    """A byte that ends a message before its end: some parsers take it, TensorFlow's reader dies."""
    return table({**entries, key: entries[key] + b"\0"})


def a_long_zero_at_the_end(entries, key):
    """The same, in five bytes: of its 33 bits a parser takes 32."""
    return table({**entries, key: entries[key] + b"\x80\x80\x80\x80\x10"})


def the_end_of_a_group(entries, key):
    """The end of what never began, with the same effect."""
    return table({**entries, key: entries[key] + b"\x0c"})


def a_wrong_checksum(entries, key):
    """Data that is not what was saved."""
    return changed(entries, key, crc32c=1)


def no_header(entries, key):
    """The entry that says how many data files there are is missing."""
    return table({k: v for k, v in entries.items() if k})


def a_header_of_many_shards(entries, key):
    """2^31 - 1 data files, none of which is looked for before it is needed."""
    header = tensor_bundle_pb2.BundleHeaderProto.FromString(entries[b""])
    header.num_shards = (1 << 31) - 1
    return table({**entries, b"": header.SerializeToString()})


def a_key_that_leads_out(entries, key):
    """A key with `..` in it: keys are no paths. Here a variable is missing then: refused."""
    left = {k: v for k, v in entries.items() if k != key}
    return table({**left, b"../../" + key: entries[key]})


def a_bomb_of_keys(entries, key):
    """Each key is all of the key before and a letter more: some 100 kB are 20 GB of keys."""
    value, long = entries[key], b"z" * 50000
    return table(entries, [(long, value)] + [(50000 + i, b"a", value) for i in range(20000)])


def a_key_of_no_text(entries, key):
    """A key that is no UTF-8."""
    return table({**entries, b"\xff\xfe" + key: entries[key]})


def a_long_number(entries, key):
    """A number that has no end: read on, it grows with each byte."""
    good = table(entries)
    return good[:-48] + b"\xff" * 40 + good[-8:]


def a_block_behind_the_end(entries, key):
    """A block at 2^60."""
    good = table(entries)
    footer = 2 * (varint(1 << 60) + varint(9))
    return good[:-48] + footer.ljust(40, b"\0") + good[-8:]
