import io.debezium.data.Envelope;
import io.debezium.time.MicroTimestamp;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Map;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.json.JsonConverter;

/**
 * Change events of a table of readings: Debezium's envelope through Kafka Connect's JSON converter, one a line; an empty
 * line is a tombstone. The argument says whether the converter adds the schema.
 */
public class ChangeEvents {
    private static final Instant BEGIN = Instant.parse("2022-07-15T11:00:00Z");
    private static final Schema ROW = SchemaBuilder.struct().optional().name("plant.reading.Value")
        .field("meter", Schema.STRING_SCHEMA)
        .field("ts", MicroTimestamp.schema())
        .field("value", Schema.OPTIONAL_FLOAT64_SCHEMA)
        .build();
    private static final Schema SOURCE = SchemaBuilder.struct().name("plant.Source")
        .field("table", Schema.STRING_SCHEMA)
        .build();

    private static Struct row(String meter, int number, Double value) {
        Instant at = BEGIN.plusSeconds(600L * number);
        return new Struct(ROW)
            .put("meter", meter)
            .put("ts", at.toEpochMilli() * 1000)
            .put("value", value);
    }

    public static void main(String[] arguments) {
        JsonConverter converter = new JsonConverter();
        converter.configure(Map.of("schemas.enable", arguments[0]), false);
        Envelope envelope = Envelope.defineSchema()
            .withName("plant.reading.Envelope")
            .withRecord(ROW)
            .withSource(SOURCE)
            .build();
        Struct source = new Struct(SOURCE).put("table", "reading");
        for (int number = 0; number < 12; number++) {
            for (String meter : new String[] {"web 1", "db,2"}) {
                Struct row = row(meter, number, number + 0.25);
                print(converter, envelope, number < 6 ? envelope.read(row, source, BEGIN) : envelope.create(row, source, BEGIN));
                if (number == 11) {
                    Struct changed = row(meter, number, 1e6);
                    print(converter, envelope, envelope.update(row, changed, source, BEGIN));
                    print(converter, envelope, envelope.delete(changed, source, BEGIN));
                    System.out.println();
                }
            }
        }
    }

    private static void print(JsonConverter converter, Envelope envelope, Struct event) {
        byte[] message = converter.fromConnectData("plant.reading", envelope.schema(), event);
        System.out.println(new String(message, StandardCharsets.UTF_8));
    }
}
