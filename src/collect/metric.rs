//! A metric of CloudWatch, and the two names it has here: in the topic of readings and in that of watermarks.

use serde_json::json;

/// A metric with its dimensions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Metric {
    pub namespace: String,
    pub name: String,
    /// Names and values, in the order of the settings.
    pub dimensions: Vec<(String, String)>,
}

impl Metric {
    /// The values of its dimensions, joined by slashes: `i-0a1b2c3d`. `None` for a metric without dimensions.
    pub(crate) fn instance(&self) -> Option<String> {
        let values: Vec<&str> = self.dimensions.iter().map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join("/"))
    }

    /// The key of its readings: `i-0a1b2c3d/CPUUtilization`.
    pub(crate) fn reading_key(&self) -> String {
        match self.instance() {
            Some(instance) => format!("{instance}/{}", self.name),
            None => self.name.clone(),
        }
    }

    /// The key of its watermark, the same whatever the order of its dimensions:
    /// `["eu-west-1","AWS/EC2","CPUUtilization",{"InstanceId":"i-0a1b2c3d"}]`.
    ///
    /// Statistic and period are no part of it. Readings of a metric have one key in the topic, so what is asked under
    /// other settings goes on where the earlier ones ended.
    pub(crate) fn identity(&self, region: &str) -> String {
        let mut sorted = self.dimensions.clone();
        sorted.sort();
        let dimensions: serde_json::Map<String, serde_json::Value> = sorted
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect();
        json!([region, self.namespace, self.name, dimensions]).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(dimensions: &[(&str, &str)]) -> Metric {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Metric {
            namespace: "CWAgent".to_owned(),
            name: "disk_used".to_owned(),
            dimensions: dimensions.iter().map(owned).collect(),
        }
    }

    #[test]
    fn the_key_of_readings_has_the_values_of_the_dimensions_in_their_order() {
        for (dimensions, key) in [
            (&[][..], "disk_used"),
            (&[("InstanceId", "i-1")], "i-1/disk_used"),
            (&[("path", "/var"), ("InstanceId", "i-1")], "/var/i-1/disk_used"),
        ] {
            assert_eq!(metric(dimensions).reading_key(), key);
        }
    }

    #[test]
    fn the_key_of_a_watermark_does_not_depend_on_the_order_of_dimensions() {
        let one = metric(&[("path", "/\"var\""), ("InstanceId", "i-1")]);
        let other = metric(&[("InstanceId", "i-1"), ("path", "/\"var\"")]);
        assert_eq!(one.identity("eu-west-1"), other.identity("eu-west-1"));
        assert_eq!(
            one.identity("eu-west-1"),
            r#"["eu-west-1","CWAgent","disk_used",{"InstanceId":"i-1","path":"/\"var\""}]"#
        );
    }
}
