"""Messages as producers' own libraries write them, one a line: influxdb-client's points, or OpenTelemetry's metrics in JSON."""

import json
import sys

BEGIN_S = 1_657_882_800  # 2022-07-15T11:00:00Z
HOSTS = ["web 1", "db,2"]
READINGS = range(12)


def influx():
    from influxdb_client import Point, WritePrecision

    for number in READINGS:
        for host in HOSTS:
            point = Point("cpu").tag("host", host).tag("cpu", "cpu-total")
            point.field("usage_user", number + 0.25).field("usage_count", number)
            point.time((BEGIN_S + 600 * number) * 10**9, WritePrecision.NS)
            print(point.to_line_protocol())


def otel():
    from opentelemetry.exporter.otlp.json.common.metrics_encoder import encode_metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.resources import Resource

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], resource=Resource({"service.name": "gauge"}))
    meter = provider.get_meter("test")
    power = meter.create_gauge("power", unit="kW")
    count = meter.create_up_down_counter("sockets")
    for number in READINGS:
        for host in HOSTS:
            power.set(number + 0.25, {"host": host})
            count.add(1, {"host": host})
        # Points have the time at which they are collected, which the rows are compared by.
        print(json.dumps(encode_metrics(reader.get_metrics_data()).to_dict()))


{"influx": influx, "otel": otel}[sys.argv[1]]()
