//! OpenTelemetry's metrics: each data point of a gauge or a sum is a tree of its own. They come as the document that they
//! are in JSON, whichever encoding they were sent in.
//!
//! The tree has `name`, `unit`, `kind` (`gauge` or `sum`), `is_monotonic`, `temporality` (1 delta, 2 cumulative), `time` and
//! `start_time` (nanoseconds since 1970), `value`, `attributes`, `resource` (attributes, too), and `scope` with `name`,
//! `version` and `attributes`. Histograms and summaries are passed over, and so are points without a value. Numbers that JSON
//! has as text are numbers, and what Protobuf does not write (an empty text, a time of 0) is absent: so a message gives the
//! same in both encodings.

use std::borrow::Cow;
use std::rc::Rc;

use super::Unusable;
use crate::decode::tree::Tree;
use crate::decode::{Reason, Rejection};

type Members<'a> = Vec<(Cow<'a, str>, Tree<'a>)>;

/// Visits the data points of an export request.
///
/// # Errors
/// The [`Rejection`] of a document that is none, or the one that `visit` returned, with the number of the point.
pub(super) fn read<'a>(
    document: Tree<'a>,
    visit: &mut dyn FnMut(Tree<'a>) -> Result<(), Rejection>,
) -> Result<(), Rejection> {
    let Some(resources) = list(&document, "resourceMetrics") else {
        let detail = "there is no array resourceMetrics, as OpenTelemetry's metrics have it";
        return Err(Rejection::new(Reason::MissingField, detail));
    };
    let mut number = 0;
    for resource in resources {
        // They may be large, and the points many.
        let of_resource = Rc::new(attributes(member(resource, "resource")));
        for scoped in list(resource, "scopeMetrics").into_iter().flatten() {
            let scope = Rc::new(scope(member(scoped, "scope")));
            for metric in list(scoped, "metrics").into_iter().flatten() {
                let around = Around {
                    metric,
                    resource: &of_resource,
                    scope: &scope,
                };
                around.visit_points(&mut |point| {
                    number += 1;
                    visit(point).map_err(|rejection| rejection.at("data point", number))
                })?;
            }
        }
    }
    Ok(())
}

/// What the points of a metric have in common.
struct Around<'t, 'a> {
    metric: &'t Tree<'a>,
    resource: &'t Rc<Tree<'a>>,
    scope: &'t Rc<Tree<'a>>,
}

impl<'a> Around<'_, 'a> {
    fn visit_points(
        &self,
        visit: &mut dyn FnMut(Tree<'a>) -> Result<(), Rejection>,
    ) -> Result<(), Rejection> {
        for kind in ["gauge", "sum"] {
            let Some(data) = member(self.metric, kind) else {
                continue;
            };
            for point in list(data, "dataPoints").into_iter().flatten() {
                if let Some(value) = value(point) {
                    visit(self.tree(kind, data, point, value))?;
                }
            }
        }
        Ok(())
    }

    fn tree(&self, kind: &'static str, data: &Tree<'a>, point: &Tree<'a>, value: Tree<'a>) -> Tree<'a> {
        let mut members: Members<'a> = vec![
            ("kind".into(), Tree::Text(kind.into())),
            ("value".into(), value),
            ("attributes".into(), attributes(Some(point))),
            ("resource".into(), Tree::Shared(Rc::clone(self.resource))),
            ("scope".into(), Tree::Shared(Rc::clone(self.scope))),
        ];
        let copied = [
            ("name", text(self.metric, "name")),
            ("unit", text(self.metric, "unit")),
            ("temporality", whole(data, "aggregationTemporality")),
            ("time", whole(point, "timeUnixNano")),
            ("start_time", whole(point, "startTimeUnixNano")),
        ];
        for (name, found) in copied {
            members.extend(found.map(|found| (name.into(), found)));
        }
        if kind == "sum" {
            let is_monotonic = member(data, "isMonotonic").cloned();
            members.push(("is_monotonic".into(), is_monotonic.unwrap_or(Tree::Bool(false))));
        }
        Tree::Map(members)
    }
}

/// The value of a point; `None` if it says that there is none.
fn value<'a>(point: &Tree<'a>) -> Option<Tree<'a>> {
    const NO_VALUE: i64 = 1;
    if matches!(member(point, "flags"), Some(Tree::Integer(flags)) if flags & NO_VALUE != 0) {
        return None;
    }
    match member(point, "asDouble") {
        Some(found) => Some(double(found)),
        None => member(point, "asInt").map(number),
    }
}

/// A number that JSON may have as text.
fn double<'a>(found: &Tree<'a>) -> Tree<'a> {
    let Tree::Text(text) = found else {
        return found.clone();
    };
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Tree::Float(number),
        Ok(_) => Tree::Unusable(Unusable::NotFinite),
        Err(_) => found.clone(),
    }
}

/// A whole number, which Protobuf's JSON has as text if it is of 64 bits.
fn number<'a>(found: &Tree<'a>) -> Tree<'a> {
    let Tree::Text(text) = found else {
        return found.clone();
    };
    let signed = text.parse().map(Tree::Integer);
    let any = signed.or_else(|_| text.parse().map(Tree::Unsigned));
    any.unwrap_or_else(|_| found.clone())
}

/// A whole number other than 0, which stands for none.
fn whole<'a>(of: &Tree<'a>, name: &str) -> Option<Tree<'a>> {
    member(of, name)
        .map(number)
        .filter(|found| *found != Tree::Integer(0))
}

/// A text other than the empty one, which stands for none.
fn text<'a>(of: &Tree<'a>, name: &str) -> Option<Tree<'a>> {
    let found = member(of, name)?;
    let is_empty = matches!(found, Tree::Text(text) if text.is_empty());
    (!is_empty).then(|| found.clone())
}

fn scope<'a>(scope: Option<&Tree<'a>>) -> Tree<'a> {
    let mut members: Members<'a> = vec![("attributes".into(), attributes(scope))];
    for name in ["name", "version"] {
        let found = scope.and_then(|scope| text(scope, name));
        members.extend(found.map(|found| (name.into(), found)));
    }
    Tree::Map(members)
}

/// The attributes of something as an object.
fn attributes<'a>(of: Option<&Tree<'a>>) -> Tree<'a> {
    let pairs = of.and_then(|of| list(of, "attributes"));
    let named = |pair: &Tree<'a>| match member(pair, "key") {
        Some(Tree::Text(name)) => Some((name.clone(), attribute(member(pair, "value")))),
        _ => None,
    };
    Tree::Map(pairs.into_iter().flatten().filter_map(named).collect())
}

fn attribute<'a>(value: Option<&Tree<'a>>) -> Tree<'a> {
    let Some(value) = value else {
        return Tree::Null;
    };
    if let Some(found) = member(value, "intValue") {
        return number(found);
    }
    let kinds = ["stringValue", "boolValue", "doubleValue", "bytesValue"];
    let single = kinds.iter().find_map(|kind| member(value, kind));
    let nested = ["arrayValue", "kvlistValue"]
        .iter()
        .find_map(|kind| member(value, kind));
    single.or(nested).cloned().unwrap_or(Tree::Null)
}

fn member<'t, 'a>(tree: &'t Tree<'a>, name: &str) -> Option<&'t Tree<'a>> {
    match tree {
        Tree::Map(members) => {
            let found = members.iter().rev().find(|(known, _)| known == name);
            found
                .map(|(_, value)| value)
                .filter(|value| **value != Tree::Null)
        }
        _ => None,
    }
}

fn list<'t, 'a>(tree: &'t Tree<'a>, name: &str) -> Option<&'t [Tree<'a>]> {
    match member(tree, name)? {
        Tree::List(items) => Some(items),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &'static str) -> Tree<'static> {
        Tree::Text(text.into())
    }

    fn map(members: Vec<(&'static str, Tree<'static>)>) -> Tree<'static> {
        Tree::Map(
            members
                .into_iter()
                .map(|(name, value)| (name.into(), value))
                .collect(),
        )
    }

    fn attribute_of(name: &'static str, kind: &'static str, value: Tree<'static>) -> Tree<'static> {
        map(vec![("key", words(name)), ("value", map(vec![(kind, value)]))])
    }

    fn request(metrics: Vec<Tree<'static>>) -> Tree<'static> {
        let resource = map(vec![(
            "attributes",
            Tree::List(vec![attribute_of("service.name", "stringValue", words("gauge"))]),
        )]);
        let scoped = map(vec![
            ("scope", map(vec![("name", words("m"))])),
            ("metrics", Tree::List(metrics)),
        ]);
        let resource = map(vec![
            ("resource", resource),
            ("scopeMetrics", Tree::List(vec![scoped])),
        ]);
        map(vec![("resourceMetrics", Tree::List(vec![resource]))])
    }

    fn points(document: Tree<'static>) -> Result<Vec<Tree<'static>>, Rejection> {
        let mut points = Vec::new();
        read(document, &mut |point| {
            points.push(point);
            Ok(())
        })?;
        Ok(points)
    }

    #[test]
    fn points_of_gauges_and_sums_are_readings_and_nothing_else_is() {
        let point = |value| {
            let attributes = vec![attribute_of("phase", "intValue", words("2"))];
            map(vec![
                ("attributes", Tree::List(attributes)),
                ("timeUnixNano", words("5")),
                value,
            ])
        };
        let no_value = map(vec![("flags", Tree::Integer(1)), ("asDouble", Tree::Float(0.0))]);
        let gauge = vec![point(("asDouble", Tree::Float(1.5))), no_value];
        let sum = vec![point(("asInt", words("7")))];
        let data = |points| {
            map(vec![
                ("dataPoints", Tree::List(points)),
                ("isMonotonic", Tree::Bool(true)),
            ])
        };
        let found = points(request(vec![
            map(vec![
                ("name", words("power")),
                ("unit", words("kW")),
                ("gauge", data(gauge)),
            ]),
            map(vec![("name", words("energy")), ("sum", data(sum))]),
            map(vec![
                ("name", words("sizes")),
                ("histogram", data(vec![map(vec![])])),
            ]),
        ]))
        .expect("points");
        let of = |name: &str| found.iter().map(|point| member(point, name)).collect::<Vec<_>>();
        assert_eq!(of("name"), [Some(&words("power")), Some(&words("energy"))]);
        assert_eq!(of("kind"), [Some(&words("gauge")), Some(&words("sum"))]);
        assert_eq!(of("value"), [Some(&Tree::Float(1.5)), Some(&Tree::Integer(7))]);
        assert_eq!(of("time"), [Some(&Tree::Integer(5)); 2]);
        assert_eq!(of("is_monotonic"), [None, Some(&Tree::Bool(true))]);
        assert_eq!(
            of("attributes"),
            [Some(&map(vec![("phase", Tree::Integer(2))])); 2]
        );
        let resource = Tree::Shared(map(vec![("service.name", words("gauge"))]).into());
        assert_eq!(of("resource"), [Some(&resource); 2]);
        let scope = Tree::Shared(map(vec![("attributes", map(vec![])), ("name", words("m"))]).into());
        assert_eq!(of("scope"), [Some(&scope); 2]);
    }

    #[test]
    fn a_document_without_metrics_is_rejected() {
        let rejection = points(map(vec![("resourceLogs", Tree::List(vec![]))])).expect_err("no metrics");
        assert_eq!(rejection.reason, Reason::MissingField);
        assert_eq!(points(request(vec![])), Ok(vec![]));
    }
}
