//! Named sets of settings for the detecting side; they take the place of the defaults.

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
