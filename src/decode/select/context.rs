//! Where the paths of a reading begin.

use super::path::{Path, Step};
use crate::decode::tree::Tree;
use crate::decode::{Reason, Rejection};

/// The part of a record that holds a reading, and the objects around it.
#[derive(Debug)]
pub(super) struct Element<'t, 'a> {
    tree: &'t Tree<'a>,
    /// From the outermost to the innermost.
    around: Vec<&'t Tree<'a>>,
}

impl<'t, 'a> Element<'t, 'a> {
    /// A record that is one element.
    pub(super) fn whole(tree: &'t Tree<'a>) -> Self {
        Element {
            tree,
            around: Vec::new(),
        }
    }

    /// What a path leads to. A path that takes all leads to the object whose members it takes.
    pub(super) fn find(&self, path: &Path) -> Option<&'t Tree<'a>> {
        let start = match path.up() {
            0 => self.tree,
            up => self.around[self.around.len().checked_sub(up)?],
        };
        start.find(path.steps())
    }
}

/// Goes to each element that the steps of a path lead to, through objects and into every item of the arrays on the way.
/// `visit` is given the reason where they lead to no array.
///
/// # Errors
/// The first error of `visit`, which ends the walk.
pub(super) fn visit_elements<'t, 'a>(
    tree: &'t Tree<'a>,
    each: &Path,
    visit: &mut dyn FnMut(Result<Element<'t, 'a>, Rejection>) -> Result<(), Rejection>,
) -> Result<(), Rejection> {
    let mut walk = Walk {
        each,
        around: Vec::new(),
        visit,
    };
    walk.go(tree, each.steps())
}

struct Walk<'w, 't, 'a> {
    each: &'w Path,
    around: Vec<&'t Tree<'a>>,
    visit: &'w mut dyn FnMut(Result<Element<'t, 'a>, Rejection>) -> Result<(), Rejection>,
}

impl<'t, 'a> Walk<'_, 't, 'a> {
    fn go(&mut self, tree: &'t Tree<'a>, steps: &[Step]) -> Result<(), Rejection> {
        match (tree, steps) {
            (Tree::List(items), []) => items.iter().try_for_each(|item| {
                (self.visit)(Ok(Element {
                    tree: item,
                    around: self.around.clone(),
                }))
            }),
            (other, []) => self.absent(Some(other)),
            (Tree::List(items), [step, rest @ ..]) => match step.index {
                Some(index) => match items.get(index) {
                    Some(item) => self.go(item, rest),
                    None => self.absent(None),
                },
                None => items.iter().try_for_each(|item| self.go(item, steps)),
            },
            (object, [step, rest @ ..]) => {
                let Some(child) = object.child(step) else {
                    return self.absent(None);
                };
                self.around.push(object);
                let visited = self.go(child, rest);
                self.around.pop();
                visited
            }
        }
    }

    fn absent(&mut self, found: Option<&Tree<'_>>) -> Result<(), Rejection> {
        let each = self.each;
        (self.visit)(Err(match found {
            None => Rejection::new(Reason::MissingField, format!("there is no array {each}")),
            Some(Tree::Null) => Rejection::new(Reason::NullField, format!("{each} is null")),
            Some(other) => {
                let detail = format!("{each} is {}, not an array", other.kind());
                Rejection::new(Reason::WrongType, detail)
            }
        }))
    }
}
