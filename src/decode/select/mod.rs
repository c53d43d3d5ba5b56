//! Which readings a record's tree holds: paths, conditions and keys, the same for all formats that make trees.
//!
//! Absent from this room: bytes, and what a value means: whether it is a number, a time or out of bounds.

mod condition;
mod context;
mod key;
mod path;
mod values;

use std::borrow::Cow;

pub use condition::Condition;
pub use key::KeyPart;
pub use path::Path;
pub(crate) use path::Step;
pub use values::ValuePaths;

use super::format::{Beside, Found, Scalar};
use super::tree::Tree;
use super::{Reason, Rejection, Settings};
use context::{Element, visit_elements};
use key::KeyPaths;
pub(super) use key::text as key_text;
use values::Value;

/// The paths of `[reading]`.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    /// The arrays whose items are elements.
    each: Option<Path>,
    conditions: Vec<Condition>,
    /// `None` if the time is not in the value.
    time: Option<Path>,
    values: ValuePaths,
    measure: Option<Path>,
    count: Option<Path>,
    key: KeyPaths,
}

/// What is done with each reading that was selected, or with the reason why there is none. The text is what its value is
/// called in the record.
pub(super) type Visit<'v, 'a> =
    dyn FnMut(Result<&mut Found<'a>, Rejection>, &str) -> Result<(), Rejection> + 'v;

impl Selection {
    /// The selection of these settings.
    pub(super) fn new(settings: &Settings) -> Self {
        Selection {
            each: settings.each.0.clone(),
            conditions: settings.conditions.clone(),
            time: settings.time_field.path().cloned(),
            values: settings.value_field.clone(),
            measure: settings.measure_field.0.clone(),
            count: settings.count_field.0.clone(),
            key: KeyPaths::new(settings),
        }
    }

    /// Whether a record is a value and nothing else, so that it may be bare text.
    pub(super) fn takes_whole_values(&self) -> bool {
        let value = self.values.only();
        self.each.is_none() && value.is_some_and(|path| path.steps().is_empty())
    }

    /// Visits the readings of a tree in their order; none where no element fulfills the conditions.
    ///
    /// # Errors
    /// The first [`Rejection`] that `visit` returned, with the place of its element.
    pub(super) fn read<'a>(&'a self, tree: &Tree<'a>, visit: &mut Visit<'_, 'a>) -> Result<(), Rejection> {
        if *tree == Tree::Null {
            return visit(Err(Rejection::new(Reason::Empty, "the record is null")), "");
        }
        let Some(each) = &self.each else {
            return self.element(&Element::whole(tree), visit);
        };
        let (mut number, mut is_visited) = (0, false);
        visit_elements(tree, each, &mut |found| {
            is_visited = true;
            let element = match found {
                Ok(element) => element,
                Err(rejection) => return visit(Err(rejection), ""),
            };
            number += 1;
            self.element(&element, visit)
                .map_err(|rejection| rejection.at("element", number))
        })?;
        if is_visited {
            return Ok(());
        }
        let detail = format!("{each} is an array without elements");
        visit(Err(Rejection::new(Reason::Empty, detail)), "")
    }

    /// Visits the readings of one element: one, or one for each measure.
    fn element<'a>(&'a self, element: &Element<'_, 'a>, visit: &mut Visit<'_, 'a>) -> Result<(), Rejection> {
        if !self.conditions.iter().all(|condition| condition.holds(element)) {
            return Ok(());
        }
        let scalar = |path: &Option<Path>| {
            let found = path.as_ref().and_then(|path| element.find(path));
            found.map(Tree::scalar)
        };
        let name = match self.measure_name(element) {
            Ok(name) => name,
            Err(rejection) => return visit(Err(rejection), ""),
        };
        let (time, count) = (scalar(&self.time), scalar(&self.count));
        self.values.visit(element, &mut |value| match value {
            Err(rejection) => visit(Err(rejection), ""),
            Ok(Value {
                name: called,
                scalar,
                measure,
            }) => {
                let measure = join_measures(name.clone(), measure);
                let (key, key_fault) = match self.key.read(element, measure.as_deref()).transpose() {
                    Ok(key) => (key.map(Scalar::Text), None),
                    Err(rejection) => (None, Some(rejection)),
                };
                let count = count.clone();
                let has_more = count.is_some() || key_fault.is_some();
                let mut found = Found {
                    time: time.clone(),
                    value: scalar,
                    key,
                    beside: has_more.then(|| Box::new(Beside { count, key_fault })),
                    measure: None,
                };
                found.measure = measure.filter(|_| !self.key.holds_measure());
                visit(Ok(&mut found), called)
            }
        })
    }

    /// What the element says was measured.
    fn measure_name<'a>(&'a self, element: &Element<'_, 'a>) -> Result<Option<Cow<'a, str>>, Rejection> {
        let Some(path) = &self.measure else {
            return Ok(None);
        };
        let name = key_text(path.as_str(), element.find(path).map(Tree::scalar))?;
        if name.is_empty() {
            let detail = format!("{path}, the measure, is empty");
            return Err(Rejection::new(Reason::InvalidKey, detail));
        }
        Ok(Some(name))
    }
}

/// The measure by the name in the element, by the field of the value, or by both.
fn join_measures<'a>(named: Option<Cow<'a, str>>, field: Option<Cow<'a, str>>) -> Option<Cow<'a, str>> {
    match (named, field) {
        (Some(name), Some(field)) => Some(Cow::Owned(format!("{name}.{field}"))),
        (name, field) => name.or(field),
    }
}

#[cfg(test)]
mod tests;
