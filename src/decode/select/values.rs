//! Which values of an element are readings.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::context::Element;
use super::path::Path;
use crate::decode::format::Scalar;
use crate::decode::tree::Tree;
use crate::decode::{Reason, Rejection};
use crate::settings::OneOrMany;

/// The setting `reading.value_field`: one path, or several, each of which is a measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "OneOrMany", into = "OneOrMany")]
pub struct ValuePaths {
    setting: OneOrMany,
    paths: Vec<Named>,
}

/// A path, with the name of its measure.
#[derive(Debug, Clone, PartialEq)]
struct Named {
    path: Path,
    /// `None` for the only value of a reading.
    measure: Option<String>,
}

/// A value that was found.
pub(super) struct Value<'n, 'a> {
    /// What it is called in the record.
    pub name: &'n str,
    pub scalar: Option<Scalar<'a>>,
    pub measure: Option<Cow<'a, str>>,
}

/// What is done with each value, or with the reason why there is none.
type VisitValue<'v, 'a> = dyn FnMut(Result<Value<'_, 'a>, Rejection>) -> Result<(), Rejection> + 'v;

impl ValuePaths {
    /// Whether each reading names what was measured.
    pub(crate) fn has_measures(&self) -> bool {
        self.takes_several()
    }

    /// Whether an element may hold several values.
    fn takes_several(&self) -> bool {
        self.paths.len() > 1 || self.paths.iter().any(|named| named.path.takes_all())
    }

    /// The paths in the order of the setting.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().map(|named| &named.path)
    }

    /// As it was written, for details and fingerprints.
    pub(crate) fn setting(&self) -> &OneOrMany {
        &self.setting
    }

    /// The path of the only value, if each reading has one.
    pub(crate) fn only(&self) -> Option<&Path> {
        match self.paths.as_slice() {
            [one] if !one.path.takes_all() => Some(&one.path),
            _ => None,
        }
    }

    /// Visits the values of an element. Where it may hold several, those that are missing or null are left out, and all
    /// that are no numbers where a path takes all; one at least must be left.
    pub(super) fn visit<'a>(
        &'a self,
        element: &Element<'_, 'a>,
        visit: &mut VisitValue<'_, 'a>,
    ) -> Result<(), Rejection> {
        if let Some(path) = self.only() {
            return visit(Ok(Value {
                name: path.as_str(),
                scalar: element.find(path).map(Tree::scalar),
                measure: None,
            }));
        }
        let mut is_found = false;
        for Named { path, measure } in &self.paths {
            let found = element.find(path);
            if path.takes_all() {
                is_found |= self.visit_members(path, found, visit)?;
                continue;
            }
            let Some(value) = found.filter(|value| **value != Tree::Null) else {
                continue;
            };
            is_found = true;
            visit(Ok(Value {
                name: path.as_str(),
                scalar: Some(value.scalar()),
                measure: measure.as_deref().map(Cow::Borrowed),
            }))?;
        }
        if is_found {
            return Ok(());
        }
        let detail = format!("there is no number in {}", self.setting);
        visit(Err(Rejection::new(Reason::MissingField, detail)))
    }

    fn visit_members<'a>(
        &self,
        path: &Path,
        found: Option<&Tree<'a>>,
        visit: &mut VisitValue<'_, 'a>,
    ) -> Result<bool, Rejection> {
        let Some(Tree::Map(members)) = found else {
            return Ok(false);
        };
        let mut is_found = false;
        for (name, value) in last_of_each_name(members) {
            let scalar = value.scalar();
            if name.is_empty() || !scalar.is_number() {
                continue;
            }
            is_found = true;
            let measure = if self.paths.len() == 1 {
                name.clone()
            } else {
                let around = path.as_str().trim_end_matches('*');
                Cow::Owned(format!("{around}{name}"))
            };
            visit(Ok(Value {
                name,
                scalar: Some(scalar),
                measure: Some(measure),
            }))?;
        }
        Ok(is_found)
    }
}

/// Members in their order, of those of one name the last.
fn last_of_each_name<'m, 'a>(members: &'m [(Cow<'a, str>, Tree<'a>)]) -> Vec<&'m (Cow<'a, str>, Tree<'a>)> {
    let mut sorted: Vec<usize> = (0..members.len()).collect();
    sorted.sort_by(|&left, &right| members[left].0.cmp(&members[right].0));
    let mut last: Vec<usize> = sorted
        .iter()
        .enumerate()
        .filter(|&(place, &member)| {
            let next = sorted.get(place + 1);
            next.is_none_or(|&next| members[next].0 != members[member].0)
        })
        .map(|(_, &member)| member)
        .collect();
    last.sort_unstable();
    last.into_iter().map(|member| &members[member]).collect()
}

impl TryFrom<OneOrMany> for ValuePaths {
    type Error = String;

    fn try_from(setting: OneOrMany) -> Result<Self, String> {
        let paths = setting
            .texts()
            .iter()
            .map(|text| Path::parse(text))
            .collect::<Result<Vec<_>, _>>()?;
        if paths.is_empty() {
            return Err("the list must name a field at least".to_owned());
        }
        let takes_several = paths.len() > 1;
        let named = paths.iter().enumerate().map(|(place, path)| {
            let is_twice = paths[..place].contains(path);
            let others = paths.iter().filter(|other| *other != path);
            let has_twin = others.clone().any(|other| other.last_name() == path.last_name());
            let name = if has_twin { path.as_str() } else { path.last_name() };
            let measure = (takes_several && !path.takes_all()).then(|| name.to_owned());
            if is_twice {
                return Err(format!("{path} is in the list twice"));
            }
            Ok(Named {
                path: path.clone(),
                measure,
            })
        });
        let paths = named.collect::<Result<Vec<_>, _>>()?;
        Ok(ValuePaths { setting, paths })
    }
}

impl From<ValuePaths> for OneOrMany {
    fn from(paths: ValuePaths) -> OneOrMany {
        paths.setting
    }
}
