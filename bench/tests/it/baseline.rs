use bench::baseline::{Verdict, changes, compare};
use bench::repeats::workloads;
use bench::result::Run;
use bench::table;

use crate::sample::{comparison, idle, open_loop, pairs, run};

fn costs(costs: &[f64]) -> Vec<Run> {
    costs.iter().map(|cost| run("mote", &pairs(0, 64), 1e6 / cost, *cost, 50.0)).collect()
}

fn verdict(now: &[Run], before: &[Run], name: &str) -> Verdict {
    let (now, before) = (workloads(now), workloads(before));
    let all = changes(&now[0].brokers[0], &before[0].brokers[0]);
    all.iter().find(|(change, _)| change.name == name).unwrap_or_else(|| panic!("{name}")).0.verdict
}

#[test]
fn a_change_beyond_the_spread_of_repeats_has_a_verdict() {
    let before = costs(&[1.0, 1.02, 0.98]);
    assert_eq!(verdict(&costs(&[1.03, 1.01, 1.02]), &before, "CPU/delivery"), Verdict::WithinNoise);
    assert_eq!(verdict(&costs(&[1.11, 1.1, 1.09]), &before, "CPU/delivery"), Verdict::Worse);
    assert_eq!(verdict(&costs(&[0.9, 0.91, 0.89]), &before, "CPU/delivery"), Verdict::Better);
    assert_eq!(verdict(&costs(&[1.11, 1.1, 1.09]), &before, "deliveries/s"), Verdict::Worse);
    let noisy = costs(&[1.0, 1.4, 0.8]);
    assert_eq!(verdict(&costs(&[1.3, 1.31, 1.29]), &noisy, "CPU/delivery"), Verdict::WithinNoise);
}

#[test]
fn a_single_run_is_judged_with_the_stated_noise() {
    let before = costs(&[1.0]);
    assert_eq!(verdict(&costs(&[1.04]), &before, "CPU/delivery"), Verdict::WithinNoise);
    assert_eq!(verdict(&costs(&[1.06]), &before, "CPU/delivery"), Verdict::Worse);
    let slower = |p50| [run("mote", &open_loop(5e4), 5e4, 1.0, p50)];
    assert_eq!(verdict(&slower(57.0), &slower(50.0), "p99"), Verdict::WithinNoise);
    assert_eq!(verdict(&slower(60.0), &slower(50.0), "p99"), Verdict::Worse);
    assert_eq!(verdict(&[idle("mote", 500.0)], &[idle("mote", 700.0)], "bytes_per_connection"), Verdict::Better);
}

#[test]
fn what_was_never_lost_before_and_is_now_is_worse() {
    let (before, mut now) = (costs(&[1.0]), costs(&[1.0]));
    assert!(!compare(&now, &before).unwrap().is_worse);
    now[0].lost = 3;
    let comparison = compare(&now, &before).unwrap();
    assert!(comparison.is_worse && comparison.text.contains("from none  worse"), "{}", comparison.text);
}

#[test]
fn a_comparison_says_every_figure_and_refuses_what_has_nothing_in_common() {
    let mut now = costs(&[1.1, 1.1]);
    now.push(run("mote", &pairs(1, 64), 1e5, 2.0, 70.0));
    let all = compare(&now, &costs(&[1.0, 1.0])).unwrap();
    assert!(all.is_worse);
    for part in ["CPU/delivery", "+10.0 %  worse (noise 1.0 %)", "p99.9", "memory", "not in the baseline", "(2 runs)"] {
        assert!(all.text.contains(part), "{part}\n{}", all.text);
    }
    assert!(compare(&now[2..], &costs(&[1.0])).is_err());
    // another length of the run and another number of threads are the same load, another broker's label is taken
    let mut longer = costs(&[1.0]);
    (longer[0].plan.seconds, longer[0].plan.threads, longer[0].label) = (60.0, 4, "older".into());
    assert!(compare(&costs(&[1.0]), &longer).unwrap().text.contains("against older"));
}

#[test]
fn a_table_has_medians_and_ratios_against_the_base() {
    let text = table::text(&comparison(), Some("mosquitto 2.0.11"));
    let (head, mosquitto) = (text.lines().nth(1).unwrap(), text.lines().nth(3).unwrap());
    let mote = text.lines().nth(2).unwrap();
    assert!(head.contains("CPU/delivery") && head.contains("deliveries/s"), "{text}");
    assert!(mosquitto.contains("mosquitto 2.0.11     3") && mosquitto.contains("9.27 µs"), "{text}");
    assert!(mote.contains("1/90.0") && mote.contains("90.0x") && mote.contains("0.103 µs"), "{text}");
    assert!(text.contains("! mote 0.1.0: the generator was the limit in 3 of 3 runs"), "{text}");
    let widths: Vec<usize> = text.lines().skip(1).take(4).map(|line| line.chars().count()).collect();
    assert!(widths.iter().all(|width| *width == widths[0]), "{text}");
    let idle = text.lines().skip_while(|line| !line.starts_with("idle")).nth(1).unwrap();
    assert!(idle.contains("bytes_per_connection") && !idle.contains("CPU/delivery"), "{text}");
    let other = table::text(&comparison(), None);
    assert!(other.lines().nth(2).unwrap().contains("1.00x"), "{other}");
}
