//! The value of a record as a tree, whatever format it came in.

use std::borrow::Cow;
use std::rc::Rc;

use super::format::{Scalar, Unusable};
use super::select::Step;

/// A value and what is in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    /// Beyond the range of `Integer`.
    Unsigned(u64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Tree<'a>>),
    /// In the order of the record. Of members of one name the last counts.
    Map(Vec<(Cow<'a, str>, Tree<'a>)>),
    /// What several trees have in common.
    Shared(Rc<Tree<'a>>),
    /// There is something that no reading can be made of.
    Unusable(Unusable),
}

impl<'a> Tree<'a> {
    /// The value that steps lead to.
    pub(crate) fn find(&self, steps: &[Step]) -> Option<&Tree<'a>> {
        steps.iter().try_fold(self, |tree, step| tree.child(step))
    }

    /// The value that one step leads to.
    pub(crate) fn child(&self, step: &Step) -> Option<&Tree<'a>> {
        match self {
            Tree::Map(members) => {
                let found = members.iter().rev().find(|(name, _)| *name == step.name);
                found.map(|(_, value)| value.unshared())
            }
            Tree::List(items) => items.get(step.index?),
            _ => None,
        }
    }

    pub(crate) fn unshared(&self) -> &Tree<'a> {
        match self {
            Tree::Shared(tree) => tree,
            tree => tree,
        }
    }

    /// The value as a field's.
    pub(super) fn scalar(&self) -> Scalar<'a> {
        match self {
            Tree::Null => Scalar::Null,
            Tree::Bool(value) => Scalar::Bool(*value),
            Tree::Integer(value) => Scalar::Integer(*value),
            Tree::Unsigned(value) => Scalar::Unsigned(*value),
            Tree::Float(value) => Scalar::Float(*value),
            Tree::Text(text) => Scalar::Text(text.clone()),
            Tree::List(_) | Tree::Map(_) => Scalar::Nested,
            Tree::Shared(tree) => tree.scalar(),
            Tree::Unusable(kind) => Scalar::Unusable(*kind),
        }
    }

    /// What it is, for details.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Tree::Null => "null",
            Tree::Bool(_) => "true or false",
            Tree::Integer(_) | Tree::Unsigned(_) | Tree::Float(_) => "a number",
            Tree::Text(_) => "a text",
            Tree::List(_) => "an array",
            Tree::Map(_) => "an object",
            Tree::Shared(tree) => tree.kind(),
            Tree::Unusable(kind) => kind.describe(),
        }
    }
}
