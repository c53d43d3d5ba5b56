package org.apache.spark.kafka010;

import java.util.Map;
import org.apache.spark.SparkConf;
import scala.Option;

/** No cluster has delegation tokens. */
public class KafkaTokenUtil$ {
    public static final KafkaTokenUtil$ MODULE$ = new KafkaTokenUtil$();

    public Option<Object> findMatchingTokenClusterConfig(SparkConf conf, String brokers) {
        return Option.empty();
    }

    public boolean needTokenUpdate(Map<String, Object> parameters, Option<?> cluster) {
        return false;
    }
}
