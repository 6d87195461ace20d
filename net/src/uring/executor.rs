//! A shard's thread: a glommio executor on its core.

use glommio::{LocalExecutorBuilder, Placement, PoolPlacement};
use std::future::Future;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

/// Memory that glommio registers for files, of which a shard opens none: the least that it takes.
const FILE_MEMORY_BYTES: usize = 64 * 1024;
/// How long a busy loop runs before glommio looks at its own ring and at other tasks.
const YIELD_AFTER: Duration = Duration::from_millis(100);

/// Starts a thread called `name`, on `core` if there is one, and runs there what `main` makes.
pub(crate) fn spawn<M, F>(name: String, core: Option<usize>, main: M) -> io::Result<JoinHandle<io::Result<()>>>
where
    M: FnOnce() -> F + Send + 'static,
    F: Future<Output = io::Result<()>> + 'static,
{
    let builder = std::thread::Builder::new().name(name.clone());
    builder.spawn(move || {
        let executor = LocalExecutorBuilder::new(core.map_or(Placement::Unbound, Placement::Fixed))
            .name(&name)
            .io_memory(FILE_MEMORY_BYTES)
            .preempt_timer(YIELD_AFTER)
            // glommio's thread for blocking calls has nothing to do and shall not sit on a shard's core.
            .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
            .make()
            .map_err(|error| io::Error::other(format!("the executor of a shard does not start: {error}")))?;
        executor.run(async move { main().await })
    })
}

/// Lets glommio's other tasks run where their time has come; else costs a look at memory.
pub(crate) async fn yield_if_due() {
    glommio::executor().yield_if_needed().await;
}
