import io.apicurio.registry.serde.avro.AvroKafkaSerializer;
import java.io.File;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeaders;

/**
 * Messages of Apicurio's serializer, which enters their schema into the registry at the first argument, and of Avro's own encoder
 * of single objects. The second argument is a name for the schemas, the third says how many of each kind are printed, and
 * files of schemas follow. Prints one JSON object a line: kind, value and headers, the bytes in hexadecimal.
 */
public class JavaMessages {
    private static final long START_MS = 1_784_541_600_000L; // 2026-07-20T10:00:00Z

    public static void main(String[] arguments) throws Exception {
        int count = Integer.parseInt(arguments[2]);
        String[] files = java.util.Arrays.copyOfRange(arguments, 3, arguments.length);
        Schema[] schemas = new Schema[files.length];
        for (int number = 0; number < files.length; number++) {
            schemas[number] = new Schema.Parser().parse(new File(files[number]));
        }
        Map<String, Map<String, Object>> ways = new LinkedHashMap<>();
        ways.put("confluent", Map.of("headers.enabled", "false", "as-confluent", "true", "use-id", "contentId"));
        ways.put("header", Map.of("use-id", "contentId"));
        ways.put("default", Map.of());
        ways.put("eight-bytes", Map.of("headers.enabled", "false"));
        for (Map.Entry<String, Map<String, Object>> way : ways.entrySet()) {
            Map<String, Object> settings = new HashMap<>();
            settings.put("apicurio.registry.url", arguments[0]);
            settings.put("apicurio.registry.auto-register", "true");
            way.getValue().forEach((name, value) -> settings.put("apicurio.registry." + name, value));
            try (AvroKafkaSerializer<GenericRecord> serializer = new AvroKafkaSerializer<>()) {
                serializer.configure(settings, false);
                for (int number = 0; number < count; number++) {
                    RecordHeaders headers = new RecordHeaders();
                    byte[] value = serializer.serialize(arguments[1], headers, reading(schemas[0], way.getKey(), number));
                    print(way.getKey(), value, headers);
                }
            }
        }
        for (int version = 0; version < schemas.length; version++) {
            BinaryMessageEncoder<GenericRecord> encoder = new BinaryMessageEncoder<>(GenericData.get(), schemas[version]);
            for (int number = 0; number < count; number++) {
                ByteBuffer message = encoder.encode(reading(schemas[version], "single", number));
                byte[] value = new byte[message.remaining()];
                message.get(value);
                print("single-" + (version + 1), value, new RecordHeaders());
            }
        }
    }

    private static GenericRecord reading(Schema schema, String meter, int number) {
        GenericRecord reading = new GenericData.Record(schema);
        reading.put("meter", meter);
        boolean isInMicroseconds = schema.getField("ts").schema().getLogicalType().getName().equals("timestamp-micros");
        reading.put("ts", (START_MS + number * 1000L) * (isInMicroseconds ? 1000 : 1));
        reading.put("value", number + 0.5);
        return reading;
    }

    private static void print(String kind, byte[] value, RecordHeaders headers) {
        StringBuilder listed = new StringBuilder();
        for (Header header : headers) {
            listed.append(listed.length() == 0 ? "" : ",");
            listed.append('"').append(header.key()).append("\":\"").append(hex(header.value())).append('"');
        }
        System.out.printf("{\"kind\":\"%s\",\"value\":\"%s\",\"headers\":{%s}}%n", kind, hex(value), listed);
    }

    private static String hex(byte[] bytes) {
        return java.util.HexFormat.of().formatHex(bytes);
    }
}
