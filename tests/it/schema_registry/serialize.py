"""Writes messages by Confluent's own serializers, which enter their schemas into the registry at argv[1].

Prints one JSON object a line: what the message is, and its bytes in base64. argv[2] is a name for the subjects, and argv[3] how many
messages of each kind are printed.
"""

import base64
import datetime
import decimal
import json
import sys

from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

URL, NAME, COUNT = sys.argv[1], sys.argv[2], int(sys.argv[3])
registry = SchemaRegistryClient({"url": URL})

TIME = {"type": "long", "logicalType": "timestamp-millis"}
FIRST = {
    "type": "record", "name": "Reading", "namespace": "org.grid",
    "fields": [{"name": "meter", "type": "string"}, {"name": "ts", "type": TIME}, {"name": "value", "type": "double"}],
}
# Fields in another order, one more, the value optional and a decimal.
SECOND = {
    "type": "record", "name": "Reading", "namespace": "org.grid",
    "fields": [
        {"name": "value", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 3}]},
        {"name": "unit", "type": "string", "default": "kW"},
        {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "meter", "type": "string"},
    ],
}
POINT = {
    "type": "record", "name": "Stamp", "namespace": "org.grid", "fields": [{"name": "zone", "type": "string"}],
}
REFERRING = {
    "type": "record", "name": "Other", "namespace": "org.grid",
    "fields": [
        {"name": "stamp", "type": "org.grid.Stamp"}, {"name": "meter", "type": "string"},
        {"name": "ts", "type": TIME}, {"name": "value", "type": "float"},
    ],
}
AS_JSON = {
    "$schema": "http://json-schema.org/draft-07/schema#", "title": "Reading", "type": "object",
    "properties": {"meter": {"type": "string"}, "ts": {"type": "string"}, "value": {"type": "number"}},
}


def serializer(subject, schema, references=()):
    schema = Schema(json.dumps(schema), "AVRO", list(references))
    return AvroSerializer(
        registry, schema, conf={"subject.name.strategy": lambda context, record: f"{NAME}-{subject}"}
    )


registry.register_schema(f"{NAME}-stamp", Schema(json.dumps(POINT), "AVRO"))
serializers = {
    "first": serializer("first", FIRST),
    "second": serializer("second", SECOND),
    "referring": serializer("referring", REFERRING, [SchemaReference("org.grid.Stamp", f"{NAME}-stamp", 1)]),
    "json": JSONSerializer(
        json.dumps(AS_JSON), registry, conf={"subject.name.strategy": lambda context, record: f"{NAME}-json"}
    ),
}
START = datetime.datetime(2026, 7, 20, 10, 0, tzinfo=datetime.timezone.utc)
context = SerializationContext("readings", MessageField.VALUE)
for number in range(COUNT):
    at = START + datetime.timedelta(seconds=number)
    readings = {
        "first": {"meter": "a", "ts": at, "value": 1.5},
        "second": {"meter": "b", "ts": at, "value": decimal.Decimal("2.250"), "unit": "kW"},
        "referring": {"meter": "c", "ts": at, "value": 0.5, "stamp": {"zone": "UTC"}},
        "json": {"meter": "d", "ts": at.isoformat(), "value": 3},
    }
    for kind, reading in readings.items():
        message = serializers[kind](reading, context)
        print(json.dumps({"kind": kind, "value_b64": base64.b64encode(message).decode()}))
