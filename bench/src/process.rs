//! What a process on this machine has spent, from /proc: CPU time, memory of its own, context switches.

use std::fs::read_to_string;
use std::io;

/// Clock ticks in a second, as /proc counts them on every Linux of today (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Since the process began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// CPU seconds of all threads, those that have ended among them.
    pub cpu_s: f64,
    pub threads: Vec<Thread>,
    /// `RssAnon`: memory of its own, without files that it has mapped and without what the kernel holds for its sockets.
    pub anon_bytes: u64,
    /// It waited for something.
    pub switches_voluntary: u64,
    /// Somebody else wanted the core.
    pub switches_involuntary: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Thread {
    pub id: u32,
    pub name: String,
    pub cpu_s: f64,
}

/// `pid` 0 is this process.
pub fn sample(pid: u32) -> io::Result<Sample> {
    let root = if pid == 0 { "/proc/self".to_owned() } else { format!("/proc/{pid}") };
    let (_, ticked) = stat(&format!("{root}/stat"))?;
    let status = read_to_string(format!("{root}/status"))?;
    let mut sample = Sample { anon_bytes: field(&status, "RssAnon:").unwrap_or(0) * 1024, ..Sample::default() };
    for entry in std::fs::read_dir(format!("{root}/task"))? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let task = format!("{root}/task/{id}");
        let Ok((name, cpu_s)) = stat(&format!("{task}/stat")) else { continue }; // it has just ended: no error
        let status = read_to_string(format!("{task}/status")).unwrap_or_default();
        sample.switches_voluntary += field(&status, "voluntary_ctxt_switches:").unwrap_or(0);
        sample.switches_involuntary += field(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0);
        sample.threads.push(Thread { id, name, cpu_s });
    }
    sample.threads.sort_by_key(|thread| thread.id);
    sample.cpu_s = clocked_s(pid).unwrap_or(ticked);
    Ok(sample)
}

/// CPU seconds of all threads of a process, ended ones too, finer than ticks; `None` where the kernel does not tell.
fn clocked_s(pid: u32) -> Option<f64> {
    let clock = nix::time::clock_getcpuclockid(nix::unistd::Pid::from_raw(pid.try_into().ok()?)).ok()?;
    let time = clock.now().ok()?;
    Some(time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
}

fn stat(path: &str) -> io::Result<(String, f64)> {
    parse(&read_to_string(path)?).ok_or_else(|| io::Error::other(format!("{path}: not as expected")))
}

/// Name and CPU seconds. The name stands in parentheses and may contain anything, so the last one counts.
fn parse(text: &str) -> Option<(String, f64)> {
    let (open, close) = (text.find('(')?, text.rfind(')')?);
    let mut fields = text.get(close + 1..)?.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((text.get(open + 1..close)?.to_owned(), (user + system) / TICKS_PER_SECOND))
}

/// The number behind a name in a `status` file.
fn field(status: &str, name: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

/// What was used between two samples; `anon_bytes` is that of the later. Threads that were not there before count
/// from zero.
pub fn between(before: &Sample, after: &Sample) -> Sample {
    let earlier = |id: u32| before.threads.iter().find(|thread| thread.id == id).map_or(0.0, |thread| thread.cpu_s);
    let since = |thread: &Thread| Thread { cpu_s: (thread.cpu_s - earlier(thread.id)).max(0.0), ..thread.clone() };
    Sample {
        cpu_s: (after.cpu_s - before.cpu_s).max(0.0),
        threads: after.threads.iter().map(since).collect(),
        anon_bytes: after.anon_bytes,
        switches_voluntary: after.switches_voluntary.saturating_sub(before.switches_voluntary),
        switches_involuntary: after.switches_involuntary.saturating_sub(before.switches_involuntary),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_is_read() {
        let text = "12 (a (b) c) S 1 1 1 0 -1 0 0 0 0 0 250 50 0 0 20 0 1";
        assert_eq!(parse(text), Some(("a (b) c".to_owned(), 3.0)));
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let status = "Name:\tx\nnonvoluntary_ctxt_switches:\t7\nvoluntary_ctxt_switches:\t9\nRssAnon:\t     120 kB\n";
        assert_eq!(field(status, "voluntary_ctxt_switches:"), Some(9));
        assert_eq!(field(status, "RssAnon:"), Some(120));
        assert_eq!(field(status, "RssFile:"), None);
    }

    #[test]
    fn this_process_has_threads_memory_and_a_past() {
        let sample = sample(0).unwrap();
        assert!(!sample.threads.is_empty() && sample.anon_bytes > 0);
        assert!(sample.switches_voluntary + sample.switches_involuntary > 0);
        let nothing = between(&sample, &sample);
        assert_eq!((nothing.cpu_s, nothing.switches_voluntary), (0.0, 0));
    }
}
