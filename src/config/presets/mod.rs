//! Named sets of settings, for the detection and for what producers write; they take the place of the defaults.

/// Settings under a name.
pub(super) struct Preset {
    pub name: &'static str,
    /// As in a settings file; empty for the defaults themselves.
    pub toml: &'static str,
}

pub(super) const PRESETS: [Preset; 4] = [
    Preset {
        name: "default",
        toml: "",
    },
    Preset {
        name: "boston-tutorial",
        toml: include_str!("boston-tutorial.toml"),
    },
    Preset {
        name: "ec2-tutorial",
        toml: include_str!("ec2-tutorial.toml"),
    },
    Preset {
        name: "air-quality-tutorial",
        toml: include_str!("air-quality-tutorial.toml"),
    },
];

/// What producers write. docs/presets.md shows each.
pub(super) const READING_PRESETS: [Preset; 12] = [
    Preset { name: "", toml: "" },
    Preset {
        name: "telegraf",
        toml: include_str!("telegraf.toml"),
    },
    Preset {
        name: "telegraf-influx",
        toml: include_str!("telegraf-influx.toml"),
    },
    Preset {
        name: "prometheus-adapter",
        toml: include_str!("prometheus-adapter.toml"),
    },
    Preset {
        name: "home-assistant",
        toml: include_str!("home-assistant.toml"),
    },
    Preset {
        name: "zigbee2mqtt",
        toml: include_str!("zigbee2mqtt.toml"),
    },
    Preset {
        name: "tasmota",
        toml: include_str!("tasmota.toml"),
    },
    Preset {
        name: "shelly",
        toml: include_str!("shelly.toml"),
    },
    Preset {
        name: "cloudwatch-stream",
        toml: include_str!("cloudwatch-stream.toml"),
    },
    Preset {
        name: "logstash-cloudwatch",
        toml: include_str!("logstash-cloudwatch.toml"),
    },
    Preset {
        name: "otel",
        toml: include_str!("otel.toml"),
    },
    Preset {
        name: "debezium",
        toml: include_str!("debezium.toml"),
    },
];
