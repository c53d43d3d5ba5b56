//! `collect.cloudwatch.dimensions`: which metrics of a name are collected.

use super::metric::Metric;

/// The dimensions that a metric must have, all of them and no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dimensions(Vec<Dimension>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Dimension {
    name: String,
    /// The values that are collected; empty for all that there are.
    values: Vec<String>,
}

/// What stands for any value.
const ANY: &str = "*";

impl Dimensions {
    /// Reads `Name=value` and `Name=*`; a name that comes twice has both values.
    ///
    /// # Errors
    /// The rule that an entry breaks.
    pub(crate) fn parse(entries: &[String]) -> Result<Self, String> {
        let mut dimensions: Vec<Dimension> = Vec::new();
        for entry in entries {
            let Some((name, value)) = entry
                .split_once('=')
                .filter(|(name, value)| is_text(name) && is_text(value))
            else {
                return Err(format!(
                    "must be NAME=VALUE, or NAME=* for whatever is found, in printable ASCII: {entry:?} is not"
                ));
            };
            let at = match dimensions.iter().position(|dimension| dimension.name == name) {
                Some(at) => at,
                None => {
                    dimensions.push(Dimension {
                        name: name.to_owned(),
                        values: Vec::new(),
                    });
                    dimensions.len() - 1
                }
            };
            dimensions[at].values.push(value.to_owned());
        }
        for dimension in &mut dimensions {
            if dimension.values.iter().any(|value| value == ANY) {
                dimension.values.clear();
            }
        }
        Ok(Dimensions(dimensions))
    }

    /// No dimensions: metrics that have none.
    pub(crate) fn none() -> Self {
        Dimensions(Vec::new())
    }

    /// Whether CloudWatch has to be asked which metrics there are.
    pub(crate) fn are_discovered(&self) -> bool {
        self.0.iter().any(|dimension| dimension.values.is_empty())
    }

    /// Names, each with its value if there is one to look for only.
    pub(crate) fn filters(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|dimension| match dimension.values.as_slice() {
            [value] => (dimension.name.as_str(), Some(value.as_str())),
            _ => (dimension.name.as_str(), None),
        })
    }

    /// The metrics of these names with every combination of the given values.
    pub(crate) fn given(&self, namespace: &str, names: &[String]) -> Vec<Metric> {
        let mut combinations: Vec<Vec<(String, String)>> = vec![Vec::new()];
        for dimension in &self.0 {
            let with = |combination: &Vec<(String, String)>, value: &String| {
                let mut longer = combination.clone();
                longer.push((dimension.name.clone(), value.clone()));
                longer
            };
            combinations = combinations
                .iter()
                .flat_map(|combination| dimension.values.iter().map(move |value| with(combination, value)))
                .collect();
        }
        let metric = |name: &String, dimensions: &Vec<(String, String)>| Metric {
            namespace: namespace.to_owned(),
            name: name.clone(),
            dimensions: dimensions.clone(),
        };
        names
            .iter()
            .flat_map(|name| {
                combinations
                    .iter()
                    .map(move |combination| metric(name, combination))
            })
            .collect()
    }

    /// A metric that was found, with its dimensions in our order, if it is one of those that are collected.
    pub(crate) fn taken(&self, found: Metric) -> Option<Metric> {
        if found.dimensions.len() != self.0.len() {
            return None;
        }
        let ordered = self.0.iter().map(|wanted| {
            let (name, value) = found.dimensions.iter().find(|(name, _)| *name == wanted.name)?;
            let is_wanted = wanted.values.is_empty() || wanted.values.contains(value);
            is_wanted.then(|| (name.clone(), value.clone()))
        });
        let dimensions = ordered.collect::<Option<Vec<_>>>()?;
        Some(Metric { dimensions, ..found })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// Names and values of dimensions: printable ASCII, at most 1,024 bytes.
fn is_text(text: &str) -> bool {
    let is_printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    (1..=1_024).contains(&text.len()) && text.bytes().all(is_printable) && !text.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dimensions(entries: &[&str]) -> Result<Dimensions, String> {
        let entries: Vec<String> = entries.iter().map(|&entry| entry.to_owned()).collect();
        Dimensions::parse(&entries)
    }

    fn metric(dimensions: &[(&str, &str)]) -> Metric {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Metric {
            namespace: "N".to_owned(),
            name: "m".to_owned(),
            dimensions: dimensions.iter().map(owned).collect(),
        }
    }

    #[test]
    fn given_values_make_metrics_without_looking() {
        let two = dimensions(&["InstanceId=i-1", "path=/", "InstanceId=i-2"]).unwrap();
        assert!(!two.are_discovered());
        let found = two.given("N", &["m".to_owned()]);
        let expected = ["i-1", "i-2"].map(|instance| metric(&[("InstanceId", instance), ("path", "/")]));
        assert_eq!(found, expected);
        let none = dimensions(&[]).unwrap();
        assert_eq!(none.given("N", &["m".to_owned()]), [metric(&[])]);
    }

    #[test]
    fn a_found_metric_has_all_of_the_dimensions_and_no_others() {
        let any = dimensions(&["path=/", "path=/var", "InstanceId=i-1", "InstanceId=*"]).unwrap();
        assert!(any.are_discovered());
        assert_eq!(
            any.filters().collect::<Vec<_>>(),
            [("path", None), ("InstanceId", None)]
        );
        let found = any.taken(metric(&[("InstanceId", "i-7"), ("path", "/var")]));
        assert_eq!(found, Some(metric(&[("path", "/var"), ("InstanceId", "i-7")])));
        for other in [
            metric(&[("path", "/var")]),
            metric(&[("path", "/tmp"), ("InstanceId", "i-7")]),
            metric(&[("path", "/var"), ("InstanceId", "i-7"), ("fstype", "xfs")]),
        ] {
            assert_eq!(any.taken(other), None);
        }
    }

    #[test]
    fn what_is_no_dimension_is_refused() {
        for entry in ["InstanceId", "=i-1", "InstanceId=", "Instance\u{e9}=x", "a=b\nc"] {
            assert!(
                dimensions(&[entry]).unwrap_err().contains("NAME=VALUE"),
                "{entry}"
            );
        }
    }
}
