//! The machine that a result was measured on, from /proc and /sys.

use std::fs::read_to_string;

use crate::result::Machine;

pub fn machine() -> Machine {
    let cpus = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let governor = read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    Machine {
        cpu: model(&cpus).unwrap_or("unknown").to_owned(),
        cores: cpus.lines().filter(|line| line.starts_with("processor")).count() as u32,
        kernel: kernel.trim().to_owned(),
        governor: governor.ok().map(|text| text.trim().to_owned()),
    }
}

/// What the first core calls itself.
fn model(cpus: &str) -> Option<&str> {
    cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map(|(_, name)| name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_a_name_and_cores() {
        assert_eq!(model("processor\t: 0\nmodel name\t: Fast 3\nmodel name\t: Slow\n"), Some("Fast 3"));
        assert!(machine().cores > 0 && !machine().kernel.is_empty());
    }
}
