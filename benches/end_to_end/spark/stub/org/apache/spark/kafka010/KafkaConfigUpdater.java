package org.apache.spark.kafka010;

import java.util.HashMap;
import java.util.Map;
import scala.Option;
import scala.jdk.javaapi.CollectionConverters;

/** Kafka parameters as they are put together, without authentication by delegation tokens. */
public class KafkaConfigUpdater {
    private final Map<String, Object> parameters;

    public KafkaConfigUpdater(String module, scala.collection.immutable.Map<String, Object> parameters) {
        this.parameters = new HashMap<>(CollectionConverters.asJava(parameters));
    }

    public KafkaConfigUpdater set(String name, Object value) {
        parameters.put(name, value);
        return this;
    }

    public KafkaConfigUpdater setIfUnset(String name, Object value) {
        parameters.putIfAbsent(name, value);
        return this;
    }

    public KafkaConfigUpdater setAuthenticationConfigIfNeeded() {
        return this;
    }

    public KafkaConfigUpdater setAuthenticationConfigIfNeeded(Option<?> cluster) {
        return this;
    }

    public Map<String, Object> build() {
        return parameters;
    }
}
