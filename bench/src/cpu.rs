//! CPU time of a process and its threads, from /proc.

use std::io;

/// Clock ticks in a second, as /proc counts them on every Linux of today (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds that a process, and each of its threads, has used.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub process: f64,
    /// Thread id, name, seconds.
    pub threads: Vec<(u32, String, f64)>,
}

/// `pid` 0 is this process.
pub fn sample(pid: u32) -> io::Result<Sample> {
    let root = if pid == 0 { "/proc/self".to_owned() } else { format!("/proc/{pid}") };
    let (_, process) = stat(&format!("{root}/stat"))?;
    let mut threads = Vec::new();
    for entry in std::fs::read_dir(format!("{root}/task"))? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Ok((name, seconds)) = stat(&format!("{root}/task/{id}/stat")) {
            threads.push((id, name, seconds)); // a thread that has just ended is no error
        }
    }
    threads.sort_by_key(|(id, _, _)| *id);
    Ok(Sample { process, threads })
}

fn stat(path: &str) -> io::Result<(String, f64)> {
    parse(&std::fs::read_to_string(path)?).ok_or_else(|| io::Error::other(format!("{path}: not as expected")))
}

/// Name and CPU seconds. The name stands in parentheses and may contain anything, so the last one counts.
fn parse(text: &str) -> Option<(String, f64)> {
    let (open, close) = (text.find('(')?, text.rfind(')')?);
    let mut fields = text.get(close + 1..)?.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((text.get(open + 1..close)?.to_owned(), (user + system) / TICKS_PER_SECOND))
}

/// What was used between two samples. Threads that were not there before count from zero.
pub fn between(before: &Sample, after: &Sample) -> Sample {
    let earlier = |id: u32| before.threads.iter().find(|(other, _, _)| *other == id).map_or(0.0, |(_, _, s)| *s);
    Sample {
        process: after.process - before.process,
        threads: after.threads.iter().map(|(id, name, s)| (*id, name.clone(), s - earlier(*id))).collect(),
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
    fn this_process_has_a_thread() {
        assert!(!sample(0).unwrap().threads.is_empty());
    }
}
