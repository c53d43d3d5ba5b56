//! Threads that look on give way to those that work.

/// The least that the system gives to a thread, as long as others want to run.
const LOWEST: i32 = 19;

/// Lowers the priority of this thread, and of those that it starts.
pub(super) fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), LOWEST) {
        tracing::debug!(%error, "a thread of the live page runs with the priority of all others");
    }
}
