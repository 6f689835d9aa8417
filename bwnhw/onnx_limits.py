"""What a model file may cost before it is understood: its size, its nesting and its number of fields, checked on the wire format.

Protobuf's parser turns two bytes into an object of a hundred, so a file of empty messages would exhaust memory inside the parser.
This walk needs constant memory; only what it lets pass is parsed.
"""

from pathlib import Path
from stat import S_ISREG

from onnx import ModelProto

from bwnhw.errors import ModelError
from bwnhw.limits import MAX_DEPTH, MAX_FIELDS, MAX_FILE

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class _Malformed(Exception):
    """The bytes are no protobuf message of this type."""


def read_file(path: Path) -> bytes:
    """The bytes of a model file; ModelError where it can't be read, is no regular file or is larger than `MAX_FILE`."""
    try:
        if not S_ISREG(path.stat().st_mode):  # a pipe would block, a device never end
            raise ModelError(f"{path}: expected a regular file, found something else")
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ModelError(f"{path}: expected a readable model file, found: {error.strerror}") from None
    if len(data) > MAX_FILE:
        raise ModelError(f"{path}: expected at most {MAX_FILE} bytes, found more")
    return data


def parse(data: bytes, name: str) -> ModelProto:
    """The message in `data`, parsed only where `check_wire` lets it pass; raises ModelError, with `name` for the file."""
    check_wire(data, name)
    proto = ModelProto()
    try:
        proto.ParseFromString(data)
    except Exception as error:  # upb's DecodeError; its module isn't part of onnx's interface
        raise ModelError(f"{name}: expected an ONNX model, found bytes that don't parse: {str(error)[:120]}") from None
    return proto


def check_wire(data: bytes, name: str) -> None:
    """Raise ModelError unless `data` is a well-formed ModelProto within `MAX_FILE`, `MAX_FIELDS` and `MAX_DEPTH`."""
    if len(data) > MAX_FILE:
        raise ModelError(f"{name}: expected at most {MAX_FILE} bytes, found {len(data)}")
    try:
        _walk(data, name)
    except (_Malformed, IndexError, UnicodeDecodeError):
        raise ModelError(f"{name}: expected an ONNX model, found bytes that are none, or a truncated one") from None


def _walk(data: bytes, name: str) -> None:
    """Visit every field of every message, skipping the contents of byte strings and packed arrays."""
    position, fields = 0, 0
    messages = [(len(data), ModelProto.DESCRIPTOR.fields_by_number)]  # where each open message ends, and what it may hold
    while messages:
        end, known = messages[-1]
        if position == end:
            messages.pop()
            continue
        fields += 1
        if fields > MAX_FIELDS:
            raise ModelError(f"{name}: expected at most {MAX_FIELDS} protobuf fields, found more")
        tag, position = _varint(data, position)
        wire = tag & 7
        if wire == _VARINT:
            _, position = _varint(data, position)
        elif wire == _FIXED64:
            position += 8
        elif wire == _FIXED32:
            position += 4
        elif wire == _BYTES:
            size, position = _varint(data, position)
            field = known.get(tag >> 3)
            if field is not None and field.message_type is not None:
                if position + size > end:
                    raise _Malformed
                if len(messages) > MAX_DEPTH:
                    raise ModelError(f"{name}: expected messages nested at most {MAX_DEPTH} deep, found deeper ones")
                messages.append((position + size, field.message_type.fields_by_number))
            else:
                if field is not None and field.type == field.TYPE_STRING:
                    data[position:position + size].decode()  # upb would hand out bytes where it isn't UTF-8
                position += size
        else:
            raise _Malformed  # groups, which ONNX doesn't use, and reserved codes
        if position > end:
            raise _Malformed


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """The variable-length integer at `position` and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _Malformed
