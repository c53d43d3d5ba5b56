import com.fasterxml.jackson.databind.ObjectMapper;
import io.delta.kernel.Scan;
import io.delta.kernel.data.ColumnarBatch;
import io.delta.kernel.data.FilteredColumnarBatch;
import io.delta.kernel.data.Row;
import io.delta.kernel.defaults.engine.DefaultEngine;
import io.delta.kernel.engine.Engine;
import io.delta.kernel.internal.InternalScanFileUtils;
import io.delta.kernel.internal.SnapshotImpl;
import io.delta.kernel.internal.actions.Protocol;
import io.delta.kernel.internal.data.ScanStateRow;
import io.delta.kernel.internal.util.Utils;
import io.delta.kernel.types.DoubleType;
import io.delta.kernel.types.LongType;
import io.delta.kernel.types.StringType;
import io.delta.kernel.types.StructField;
import io.delta.kernel.types.StructType;
import io.delta.kernel.types.TimestampType;
import io.delta.kernel.utils.CloseableIterator;
import io.delta.kernel.utils.FileStatus;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;

/**
 * Prints a local Delta table as JSON lines, read by Delta Kernel: a header (schema, protocol versions), then one
 * object per row. Timestamps are microseconds since 1970; doubles are text, so that they survive to the last bit.
 */
public class KernelReader {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        Engine engine = DefaultEngine.create(new Configuration());
        SnapshotImpl snapshot =
            (SnapshotImpl) io.delta.kernel.Table.forPath(engine, arguments[0]).getLatestSnapshot(engine);
        StructType schema = snapshot.getSchema();
        printHeader(schema, snapshot.getProtocol());

        Scan scan = snapshot.getScanBuilder().build();
        Row state = scan.getScanState(engine);
        try (CloseableIterator<FilteredColumnarBatch> files = scan.getScanFiles(engine)) {
            while (files.hasNext()) {
                try (CloseableIterator<Row> rows = files.next().getRows()) {
                    while (rows.hasNext()) {
                        printFile(engine, state, rows.next(), schema);
                    }
                }
            }
        }
    }

    private static void printHeader(StructType schema, Protocol protocol) throws Exception {
        List<List<String>> columns = new ArrayList<>();
        for (StructField field : schema.fields()) {
            columns.add(List.of(field.getName(), field.getDataType().toString()));
        }
        Map<String, Object> header = new LinkedHashMap<>();
        header.put("schema", columns);
        header.put("reader_version", protocol.getMinReaderVersion());
        header.put("writer_version", protocol.getMinWriterVersion());
        System.out.println(JSON.writeValueAsString(header));
    }

    private static void printFile(Engine engine, Row state, Row file, StructType schema) throws Exception {
        FileStatus status = InternalScanFileUtils.getAddFileStatus(file);
        StructType physicalSchema = ScanStateRow.getPhysicalDataReadSchema(engine, state);
        CloseableIterator<ColumnarBatch> physical = engine.getParquetHandler()
            .readParquetFiles(Utils.singletonCloseableIterator(status), physicalSchema, Optional.empty());
        try (CloseableIterator<FilteredColumnarBatch> batches =
                Scan.transformPhysicalData(engine, state, file, physical)) {
            while (batches.hasNext()) {
                try (CloseableIterator<Row> rows = batches.next().getRows()) {
                    while (rows.hasNext()) {
                        printRow(rows.next(), schema);
                    }
                }
            }
        }
    }

    private static void printRow(Row row, StructType schema) throws Exception {
        Map<String, Object> values = new LinkedHashMap<>();
        for (int column = 0; column < schema.length(); column++) {
            values.put(schema.at(column).getName(), row.isNullAt(column) ? null : value(row, schema.at(column), column));
        }
        System.out.println(JSON.writeValueAsString(values));
    }

    private static Object value(Row row, StructField field, int column) {
        if (field.getDataType() instanceof StringType) {
            return row.getString(column);
        }
        if (field.getDataType() instanceof LongType || field.getDataType() instanceof TimestampType) {
            return row.getLong(column);
        }
        if (field.getDataType() instanceof DoubleType) {
            return Double.toString(row.getDouble(column));
        }
        throw new IllegalArgumentException("column " + field.getName() + " has a type of no table of ours");
    }
}
