//! Connections that do nothing: what each costs the broker, and the kernel.

use std::fs::read_to_string;
use std::io;
use std::time::Instant;

use crate::link::Link;
use crate::measured::{self, Subject, figure};
use crate::plan::Plan;
use crate::result::{Figure, Run};
use crate::retained::grown;
use crate::watch::{Look, Watch, settled};
use crate::worker::Ending;

/// `plan.subscribers` connections, first without a subscription, then with one each; then nothing for as long as the
/// plan says, while the broker's CPU is measured.
pub fn run(subject: &Subject, plan: &Plan, is_quiet: bool) -> io::Result<Run> {
    let mut watch = Watch::new(subject.pid, is_quiet)?;
    let (empty, kernel) = (settled(subject.pid)?, Kernel::now()?);
    let mut links = Vec::with_capacity(plan.subscribers);
    for number in 0..plan.subscribers {
        let name = format!("bench-idle-{number}");
        links.push(Link::connect(plan.broker, number, plan.version, &name)?.0);
    }
    let connected = settled(subject.pid)?;
    let connected_kernel = Kernel::now()?;
    for (number, link) in links.iter_mut().enumerate() {
        link.subscribe(plan.version, &format!("idle/{number}"), plan.qos)?;
    }
    let subscribed = settled(subject.pid)?;
    let begin = Instant::now();
    std::thread::sleep(plan.duration);
    watch.between(subscribed.clone(), Look::now(subject.pid)?, begin.elapsed().as_secs_f64());

    let mut figures = Vec::new();
    let mut each = |name: &str, total: f64| figures.push(figure(name, total / plan.subscribers as f64, "B"));
    if subject.pid.is_some() {
        each("bytes_per_connection", grown(&empty, &connected));
        each("bytes_per_connection_subscribed", grown(&empty, &subscribed));
    }
    // Of both ends, as both are on this machine, and of whatever else it did meanwhile.
    each("kernel_slab_bytes_per_connection", connected_kernel.slab_bytes - kernel.slab_bytes);
    each("kernel_buffer_bytes_per_connection", connected_kernel.buffer_bytes - kernel.buffer_bytes);
    figures.extend(idle_cpu(&watch));
    measured::run(subject, plan.result(), watch, &Ending::default(), figures)
}

fn idle_cpu(watch: &Watch) -> Option<Figure> {
    let used = watch.end.broker_since(&watch.start)?;
    Some(figure("idle_cpu_percent", used.cpu_s / watch.seconds * 100.0, "%"))
}

/// What the kernel of this machine has given out.
struct Kernel {
    /// Objects, sockets among them, that it cannot take back.
    slab_bytes: f64,
    /// Pages in buffers of TCP sockets.
    buffer_bytes: f64,
}

impl Kernel {
    fn now() -> io::Result<Kernel> {
        let memory = read_to_string("/proc/meminfo")?;
        let sockets = read_to_string("/proc/net/sockstat")?;
        let slab = number_behind(&memory, "SUnreclaim:").unwrap_or(0.0) * 1024.0;
        let pages = sockets.lines().find(|line| line.starts_with("TCP:")).and_then(|line| number_behind(line, " mem "));
        Ok(Kernel { slab_bytes: slab, buffer_bytes: pages.unwrap_or(0.0) * rustix::param::page_size() as f64 })
    }
}

fn number_behind(text: &str, name: &str) -> Option<f64> {
    text.split_once(name)?.1.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_what_sockets_take() {
        assert_eq!(number_behind("TCP: inuse 5 orphan 0 tw 0 alloc 7 mem 12", " mem "), Some(12.0));
        assert!(Kernel::now().unwrap().slab_bytes > 0.0);
    }
}
