//! A vacuum, which deletes files, and may sleep between any two of its steps.

use std::sync::Arc;

use super::layout;
use super::world::World;
use streamgauge::table::{CachedSnapshot, Commit, Effect};

/// A vacuum in the way that [`streamgauge::lake`] does it: it lists, it fences, it deletes.
#[derive(Default)]
pub struct Vacuum {
    cached: Option<CachedSnapshot>,
    /// All files that there were before the fence.
    listed: Vec<Arc<str>>,
    commit: Option<(Commit, Effect)>,
    is_fenced: bool,
}

impl Vacuum {
    pub fn begin(&mut self, world: &mut World) {
        if self.commit.is_some() || self.is_fenced {
            return;
        }
        self.listed = world.files.keys().cloned().collect();
        let cached = world.followed(self.cached.take());
        self.commit = Some(Commit::fence(world.fresh("fence"), layout(1), cached));
    }

    /// One step: towards the fence, and then the deletion of what no version up to it names.
    pub fn advance(&mut self, world: &mut World, unknown: Option<bool>) {
        if std::mem::take(&mut self.is_fenced) {
            let live = &self.cached.as_ref().expect("the fence's version").snapshot.files;
            for path in self.listed.drain(..).filter(|path| !live.contains_key(path)) {
                world.files.remove(&path);
            }
            world.rows();
            return;
        }
        let Some((mut commit, effect)) = self.commit.take() else {
            return;
        };
        if matches!(effect, Effect::Finish(_)) {
            self.cached = Some(commit.into_cached());
            self.is_fenced = true;
            return;
        }
        let effect = commit.next(world.perform(effect, unknown));
        self.commit = Some((commit, effect));
    }
}
