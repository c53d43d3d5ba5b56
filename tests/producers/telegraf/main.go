// Messages as Telegraf's Kafka output writes them: its own metrics through its own serializers.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/metric"
	"github.com/influxdata/telegraf/plugins/serializers/influx"
	"github.com/influxdata/telegraf/plugins/serializers/json"
)

type serializer interface {
	Init() error
	Serialize(telegraf.Metric) ([]byte, error)
	SerializeBatch([]telegraf.Metric) ([]byte, error)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	var chosen serializer
	switch os.Args[1] {
	case "influx":
		chosen = &influx.Serializer{}
	case "json", "json-batch":
		chosen = &json.Serializer{TimestampUnits: 0}
	}
	fail(chosen.Init())
	begin := time.Date(2022, 7, 15, 11, 0, 0, 0, time.UTC)
	var batch []telegraf.Metric
	for number := 0; number < 12; number++ {
		for _, host := range []string{"web 1", "db,2"} {
			at := begin.Add(time.Duration(number) * 10 * time.Minute)
			tags := map[string]string{"host": host, "cpu": "cpu-total"}
			fields := map[string]interface{}{
				"usage_user":  float64(number) + 0.25,
				"usage_count": int64(number),
			}
			batch = append(batch, metric.New("cpu", tags, fields, at))
		}
	}
	if os.Args[1] == "json-batch" {
		message, err := chosen.SerializeBatch(batch)
		fail(err)
		os.Stdout.Write(message)
		return
	}
	for _, one := range batch {
		message, err := chosen.Serialize(one)
		fail(err)
		os.Stdout.Write(message)
	}
}
